"""The objects of a video by the ids of its labels, and as classes of a network: 7 and 254 are two objects, not 254."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from revseg import storage
from revseg.labels.conventions import given_names
from revseg.labels.dataset import objects_in
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.output.legend import Legend
from revseg.training.checkpoint import Checkpoint

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Objects:
    """The objects that a network has classes for."""

    ids: tuple[int, ...] = ()
    """The ids of classes 1, 2, ... in the labels, and so in the masks that are written."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Names of objects by their ids, as far as there are any."""

    @property
    def classes(self) -> int:
        """How many classes they need, background included."""
        return 1 + len(self.ids)

    def id_of(self, number: int) -> int:
        """The id of class 1, 2, ..."""
        return self.ids[number - 1]

    def named(self, number: int) -> dict[str, str]:
        """The name of class 1, 2, ... as "name"; nothing where it has none."""
        return {"name": self.names[self.id_of(number)]} if self.id_of(number) in self.names else {}

    def classes_in(self, samples: Iterable[Sample]) -> tuple[int, ...]:
        """The classes of the objects that labels show by their ids, ascending."""
        found = _ids_in(samples)
        return tuple(number for number, known in enumerate(self.ids, 1) if known in found)

    def with_those_of(self, samples: Iterable[Sample]) -> Objects:
        """The same, and after them the other objects in the labels, by id.

        Names beside ids may change. Raises ValueError where an object has its id by its name, and this is another's now.
        """
        samples, names = list(samples), dict(self.names)
        for sample in reversed(samples):
            if not sample.objects_by_name:
                names |= sample.object_names
        for sample in samples:
            for number, name in sample.object_names.items() if sample.objects_by_name else ():
                if names.setdefault(number, name) != name:
                    listed = ",".join(names[each] for each in sorted(names) if each in self.names or each == number)
                    raise ValueError(
                        f"object {number} of the labels of {sample.source} is {name!r}, but was {names[number]!r} before: give "
                        f"data.names=[{listed}] or so, to number objects alike"
                    )
        return Objects((*self.ids, *sorted(_ids_in(samples).difference(self.ids))), names)

    def check(self, sample: Sample, classes: int) -> None:
        """Raises ValueError where a network has fewer classes."""
        if self.classes <= classes:
            return
        shown = objects_in(sample.masks)
        others = ", ".join(str(number) for number in self.ids if number not in shown)
        raise ValueError(
            f"the masks of {sample.source} show object {', '.join(map(str, shown))}, but network.classes={classes} has room for "
            f"{classes - 1}{f', with {others} of the training' if others else ''}; train with network.classes={self.classes}"
        )

    def as_classes(self, sample: Sample) -> Sample:
        """The same video with the class of each object as its label."""
        if self.ids == tuple(range(1, self.classes)):
            return sample
        table = np.zeros(256, np.uint8)
        table[[0, *self.ids]] = np.arange(self.classes)
        table[VOID] = VOID
        masks = storage.empty(*sample.masks.shape)
        for mask, ids in zip(masks, sample.masks.numpy(), strict=True):
            mask.copy_(torch.from_numpy(table[ids]))
        return replace(sample, masks=masks)

    def as_ids(self, mask: Mask) -> Mask:
        """The mask with the id of each class. Classes that no label has shown get the least ids that are free."""
        free = [number for number in range(1, VOID) if number not in self.ids]
        table = np.array([0, *self.ids, *free, VOID], np.uint8)
        return np.asarray(table[mask], np.uint8)

    def legend(self, classes: int) -> Legend:
        """Returns what is said of the masks of a network of so many classes, background included."""
        return Legend(tuple(self.as_ids(np.arange(1, classes, dtype=np.uint8)).tolist()), self.names)


def _ids_in(samples: Iterable[Sample]) -> set[int]:
    return {number for sample in samples for number in objects_in(sample.masks)}


def trained_objects(checkpoint: Checkpoint) -> Objects:
    """Returns the objects that a network has learned; none for one of many videos, whose objects differ."""
    if checkpoint.label_count is None:
        return Objects()
    # Checkpoints that name no objects are of networks whose classes are the ids.
    ids = tuple(checkpoint.recipe.get("objects") or range(1, checkpoint.network.outputs))
    return Objects(ids, given_names(checkpoint.recipe.get("names") or None))
