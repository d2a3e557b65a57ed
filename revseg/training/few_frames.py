"""Task few_frames: one video, a few of its frames labelled; segment all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from revseg.data.dataset import evenly_spaced
from revseg.data.sample import Sample
from revseg.network.forecast import Size
from revseg.network.network import RevSegNet
from revseg.prediction.output import Source, write_prediction
from revseg.prediction.segment import segment
from revseg.training.experiment import Evaluation
from revseg.training.measures import Mask, Measures, check_classes, copy_nearest, measure, object_ids
from revseg.training.pictures import pictures


class FewFrames:
    """known: the video with all labels there are; `count` of its labelled frames, evenly spaced, are trained
    on.

    The labels of the others reach neither the training nor the choice of the best checkpoint: they tell how
    good it is.
    """

    def __init__(
        self, known: Sample, count: int | None, classes: int, offsets: int = 1, on_error: str = "stop"
    ) -> None:
        frames = known.labelled_frames
        chosen = range(len(frames)) if count is None else evenly_spaced(len(frames), count)
        self.known, self.offsets, self.on_error = known, offsets, on_error
        check_classes(known, classes)
        self.objects = object_ids(known)
        self.labelled = known.select([frames[i] for i in chosen])
        others = [frame for frame in frames if frame not in self.labelled.labelled_frames]
        self.others = known.select(others) if others else None

    def sample(self, index: int) -> Sample:
        return self.labelled

    def largest(self) -> tuple[Size, int]:
        frames, height, width = self.known.volume.shape[1:]
        return (frames, height, width), len(self.labelled.labelled_frames)

    def evaluate(self, net: RevSegNet) -> Evaluation:
        masks = list(segment(net, self.known.volume))
        on_labelled = self._measure(masks, self.labelled)
        scalars = {f"labelled/{name}": value for name, value in on_labelled.named().items()}
        if self.others is not None:
            scalars |= {
                f"unlabelled/{name}": value
                for name, value in self._measure(masks, self.others).named().items()
            }
        return Evaluation(scalars, pictures(masks, self.others or self.labelled), on_labelled.JF)

    def finish(self, net: RevSegNet, folder: Path) -> dict[str, Any]:
        """J, F, JF: of the frames that were not labelled, at the size trained on; None without truth."""
        masks = list(segment(net, self.known.volume, offsets=self.offsets))
        metrics: dict[str, Any] = {"J": None, "F": None, "JF": None, "baseline": None}
        if self.others is not None:
            baseline = self._measure(copy_nearest(self.labelled), self.others).named()
            metrics = {**self._measure(masks, self.others).named(), "baseline": baseline}
        metrics["labelled"] = self._measure(masks, self.labelled).named()
        metrics["labelled_frames"] = list(self.labelled.labelled_frames)
        self._write(net, folder)
        return metrics

    def _write(self, net: RevSegNet, folder: Path) -> None:
        known = self.known
        masks = segment(net, known.volume, known.native_size, self.offsets)
        source = Source(known.source, known.frame_rate, known.frame_names, self.on_error)
        write_prediction(masks, source, folder, {"labelled_frames": self.labelled.labelled_frames})

    def _measure(self, masks: list[Mask], truth: Sample) -> Measures:
        return measure(masks, truth, self.objects)
