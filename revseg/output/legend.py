"""Which objects the numbers in masks and the planes of probabilities are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Legend:
    """The objects of a network's classes."""

    ids: tuple[int, ...]
    """The number in the masks of class 1, 2, ..."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Names by these numbers, as far as there are any."""

    def name(self, number: int) -> str:
        """Returns the name of an object."""
        return self.names.get(number, f"object {number}")

    def categories(self) -> list[dict[str, object]]:
        """Returns them as COCO lists them."""
        return [{"id": number, "name": self.name(number)} for number in self.ids]
