"""Several classifiers that have learned from the same examples, each of which sees another part of what is seen of a pixel."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import cached_property, partial

import torch
from torch import Tensor

from revseg.evidence.config import LooksConfig
from revseg.evidence.descriptors import NUMBERS
from revseg.evidence.looks import Examples, Looks, together


class Ensemble:
    """One sees descriptors alone, and a second one, where examples have more, how a pixel differs from what is behind it too.
    They count alike: where nothing stays behind an object, differences mislead.

    classes: how many there are. pool: where members learn meanwhile.
    """

    def __init__(self, *examples: Examples, classes: int, config: LooksConfig, device: torch.device, pool: Executor) -> None:
        values, known = together(examples)
        make = partial(Looks, classes=known, count=classes, config=config, device=device)
        self._learning = [pool.submit(make, values[:, :numbers]) for numbers in sorted({NUMBERS, values.shape[1]})]

    @cached_property
    def members(self) -> list[Looks]:
        """They, once they have learned."""
        return [member.result() for member in self._learning]

    def odds(self, seen: Tensor) -> Tensor | None:
        """Returns the mean of what they say (``Looks.odds``) of what is seen, (..., N), (classes, ...); None: nothing."""
        known, said = [member for member in self.members if member.learned], None
        for member in known:
            said = member.odds(seen[..., : member.numbers], share=1 / len(known), onto=said)
        return said
