"""The DAVIS benchmark: which frames and objects count, and how their measures are averaged.

Pont-Tuset et al., "The 2017 DAVIS challenge on video object segmentation", arXiv:1704.00675. Each object's
frames are averaged first, then all objects of all sequences: a sequence with three objects weighs three
times. Object ids of prediction and annotation must agree: this module does not match proposals without ids to
objects.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from revseg.evaluation.measures import Statistics, contour_accuracy, region_similarity, statistics, tolerance
from revseg.labels.files import masks_by_name
from revseg.labels.masks import read_mask
from revseg.labels.palette import VOID

PROTOCOLS = {
    "semi-supervised": slice(1, -1),  # the first frame is given with its mask; the last is left out by convention
    "unsupervised": slice(None),
    "all": slice(None),
}

FEW = 4
"""Objects up to which a whole frame is looked through for each."""

Name = tuple[str | int, ...]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Score:
    """J and F of one object, or their averages over several."""

    J: Statistics
    F: Statistics

    @property
    def jf(self) -> float:
        return (self.J.mean + self.F.mean) / 2


@dataclass(frozen=True)
class Report:
    protocol: str
    sequences: dict[str, dict[int, Score]]
    """The score of each object id, for each sequence."""

    @property
    def overall(self) -> Score:
        return average(score for objects in self.sequences.values() for score in objects.values())


def average(scores: Iterable[Score]) -> Score:
    """The mean of each number over the scores, at least one."""
    numbers = np.mean([[*_numbers(score.J), *_numbers(score.F)] for score in scores], axis=0).tolist()
    return Score(Statistics(*numbers[:3]), Statistics(*numbers[3:]))


def evaluate_masks(predictions: Iterable[Labels], labels: Iterable[Labels], object_ids: Sequence[int]) -> dict[int, Score]:
    """Score of each object from its frames, at least one; generators may be given, because no frame is kept.

    predictions, labels: one (H, W) array of object ids per frame, in the same order; label 255 is void. A
    predicted id that is not in `object_ids` counts as background. A frame whose label is void all over does not count.
    """
    return _evaluate_pairs(zip(predictions, labels, strict=True), object_ids)


def evaluate_folders(
    prediction: str | Path,
    annotation: str | Path,
    encoding: str = "davis2017",
    protocol: str = "semi-supervised",
    prediction_encoding: str = "davis2017",
    names: Sequence[str] | None = None,
) -> Report:
    """Scores mask images; frames of prediction and annotation are paired by their names.

    prediction, annotation: folders of one sequence (PNG files) or of several (a folder of PNG files each).
    encoding, prediction_encoding: how object ids are written in the annotation and in the prediction,
    "davis2016" or "davis2017". protocol: a key of `PROTOCOLS`. names: the sequences that count; None: all
    that are annotated.

    Raises ValueError if something annotated was not predicted, or has another size or other objects.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    pairs = _pair_sequences(Path(prediction), Path(annotation), names)
    scores = {}
    for name, (predicted, annotated) in tqdm(pairs.items(), unit="sequence", leave=False, disable=None):
        frames = _pair_frames(predicted, annotated, protocol)
        object_ids = _objects(annotated, encoding)
        masks = (
            _read_pair(*pair, prediction_encoding=prediction_encoding, encoding=encoding, object_ids=object_ids)
            for pair in frames
        )
        scores[name] = _evaluate_pairs(masks, object_ids)
    return Report(protocol, scores)


def _pair_sequences(prediction: Path, annotation: Path, names: Sequence[str] | None) -> dict[str, tuple[Path, Path]]:
    for setting, folder in (("prediction", prediction), ("annotation", annotation)):
        if not folder.is_dir():
            raise ValueError(f"{setting}={folder} is not a folder: give the folder with the mask images")
    if names is None and _masks(annotation):
        return {annotation.resolve().name: (prediction, annotation)}
    if names is None:
        names = sorted(folder.name for folder in annotation.iterdir() if _masks(folder))
    if not names:
        raise ValueError(f"nothing to evaluate: annotation={annotation} has no PNG masks, or split= no names")
    for folder in (parent / name for name in names for parent in (annotation, prediction)):
        if not _masks(folder):
            raise ValueError(f"{folder} has no PNG masks: add them, or list those that count in split=")
    return {name: (prediction / name, annotation / name) for name in names}


def _pair_frames(prediction: Path, annotation: Path, protocol: str) -> list[tuple[Path, Path]]:
    annotated = list(_masks(annotation).items())
    counted = annotated[PROTOCOLS[protocol]]
    if not counted:
        raise ValueError(
            f"{annotation} annotates {len(annotated)} frame(s), and protocol={protocol} leaves out the first "
            "and the last: set protocol=all"
        )
    predicted = _masks(prediction)
    for name, path in counted:
        if name not in predicted:
            raise ValueError(f"{prediction} has no mask {path.name}, but {path} exists: predict every frame")
    return [(predicted[name], path) for name, path in counted]


def _objects(annotation: Path, encoding: str) -> list[int]:
    """Returns the ids in any annotated frame. The masks are read again later: this needs less memory than keeping them."""
    found = set().union(*(_ids(read_mask(path, encoding, ids=True)) for path in _masks(annotation).values())) - {0, VOID}
    if not found:
        raise ValueError(f"no object in {annotation}: if the masks hold 0 and 255, set encoding=davis2016")
    return sorted(found)


def _read_pair(
    prediction: Path, annotation: Path, prediction_encoding: str, encoding: str, object_ids: Sequence[int]
) -> tuple[Labels, Labels]:
    predicted, labels = read_mask(prediction, prediction_encoding), read_mask(annotation, encoding, ids=True)
    if predicted.shape != labels.shape:
        sizes = ["{1} x {0}".format(*image.shape) for image in (predicted, labels)]
        raise ValueError(
            f"{prediction} is {sizes[0]} pixels, but its annotation {annotation} is {sizes[1]}: predict at "
            "the size of the annotation"
        )
    extra = sorted(_ids(predicted) - {0, *object_ids})
    if extra:
        raise ValueError(
            f"{prediction} has object {extra[0]}, but its annotation only {', '.join(map(str, object_ids))}: "
            "use the same ids, or if the prediction holds 0 and 255, set prediction_encoding=davis2016"
        )
    return predicted, labels


def _masks(folder: Path) -> dict[Name, Path]:
    """Returns the masks of a folder, or of its subfolder `masks` (as revseg-predict writes), by name, in order."""
    places = (place for place in (folder, folder / "masks") if place.is_dir())
    return next((found for place in places if (found := masks_by_name(place))), {})


def _evaluate_pairs(pairs: Iterable[tuple[Labels, Labels]], object_ids: Sequence[int]) -> dict[int, Score]:
    # Of a frame whose label is void all over, nothing is known: it would count as perfect.
    frames = [_measures(*pair, object_ids) for pair in pairs if (pair[1] != VOID).any()]
    if not frames:
        raise ValueError("there is nothing to measure: all labels are 255, void, throughout")
    J, F = np.moveaxis(np.array(frames), 2, 0)  # (frames, objects) each
    return {object_id: Score(statistics(J[:, column]), statistics(F[:, column])) for column, object_id in enumerate(object_ids)}


def _measures(prediction: Labels, label: Labels, object_ids: Sequence[int]) -> list[tuple[float, float]]:
    """J and F of each object in one frame; of many each is looked for where it is, not all over the frame."""
    windows = _windows(prediction, label) if len(object_ids) > FEW else {}
    radius, found = tolerance(label.shape), []
    for object_id in object_ids:
        window = windows.get(object_id, (slice(0), slice(0)) if windows else (slice(None), slice(None)))
        predicted, true = prediction[window], label[window]
        masks = predicted == object_id, true == object_id, true == VOID
        found.append((region_similarity(*masks), contour_accuracy(*masks, radius=radius)))
    return found


def _windows(prediction: Labels, label: Labels) -> dict[int, tuple[slice, slice]]:
    """Rows and columns that hold each id in either of two masks, and one more on each side: the margin of ``measures``."""
    edges = []
    for axis, size in enumerate(label.shape):
        there = np.zeros((size, VOID + 1), bool)
        at = np.arange(size).reshape((-1, 1) if axis == 0 else (1, -1))
        for mask in (prediction, label):
            there[np.broadcast_to(at, mask.shape), mask] = True
        first, last = there.argmax(0), size - there[::-1].argmax(0)
        edges.append([slice(max(start - 1, 0), stop + 1) for start, stop in zip(first.tolist(), last.tolist(), strict=True)])
    return {number: (edges[0][number], edges[1][number]) for number in np.flatnonzero(there.any(0)).tolist()}


def _ids(labels: Labels) -> set[int]:
    return set(np.flatnonzero(np.bincount(labels.ravel())).tolist())


def _numbers(part: Statistics) -> tuple[float, float, float]:
    return part.mean, part.recall, part.decay
