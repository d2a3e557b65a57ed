"""Several classifiers that have learned from the same examples, each of which sees another part of what is seen of a pixel."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from revseg.evidence.config import LooksConfig
from revseg.evidence.descriptors import NUMBERS
from revseg.evidence.looks import Examples, Looks, together


class Ensemble:
    """One sees descriptors alone, and a second one, where examples have more, how a pixel differs from what is behind it too.
    They count alike: where nothing stays behind an object, differences mislead.

    classes: how many there are.
    """

    def __init__(self, *examples: Examples, classes: int, config: LooksConfig, device: torch.device) -> None:
        values, known = together(examples)
        make = partial(Looks, classes=known, count=classes, config=config, device=device)
        self.members = [make(values[:, :numbers]) for numbers in sorted({NUMBERS, values.shape[1]})]

    def odds(self, seen: Tensor) -> Tensor | None:
        """Returns the mean of what they say (``Looks.odds``) of what is seen, (..., N), (classes, ...); None: nothing."""
        said = [member.odds(seen[..., : member.numbers]) for member in self.members]
        known = [one for one in said if one is not None]
        return torch.stack(known).mean(0) if known else None
