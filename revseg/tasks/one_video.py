"""Task few_frames: one video, a few of its frames labelled; segment all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from revseg.evidence.flow import Flow
from revseg.evidence.smoothing import Smoothing
from revseg.labels.dataset import evenly_spaced
from revseg.labels.masks import resize_mask
from revseg.labels.sample import Sample
from revseg.network.memory import Size
from revseg.network.network import RevSegNet
from revseg.output.folder import Source, write_prediction
from revseg.segment.expectation import least_sure
from revseg.segment.segmenter import Guide, Segmented, segment
from revseg.tasks.guidance import Guidance, GuidanceConfig
from revseg.tasks.measures import Mask, Measures, check_classes, copy_nearest, measure, object_ids
from revseg.tasks.pictures import pictures
from revseg.training.task import Evaluation


class FewFrames:
    """known: the video with all labels there are; `count` of its labelled frames, evenly spaced, are trained on. guidance: for a
    guided network; fine: the video at the size at which labels are carried along, and predictions smoothed, in so many sweeps.
    scratch: folder for what ``Flow`` keeps.

    The labels of the others reach neither the training nor the choice of the best checkpoint: they tell how
    good it is.
    """

    def __init__(
        self,
        known: Sample,
        count: int | None,
        classes: int,
        offsets: int = 1,
        smoothing: int = 0,
        on_error: str = "stop",
        guidance: GuidanceConfig | None = None,
        fine: Sample | None = None,
        seed: int = 0,
        scratch: Path | None = None,
    ) -> None:
        frames = known.labelled_frames
        chosen = range(len(frames)) if count is None else evenly_spaced(len(frames), count)
        self.known, self.offsets, self.on_error = known, offsets, on_error
        check_classes(known, classes)
        self.objects = object_ids(known)
        self.labelled = known.select([frames[i] for i in chosen])
        others = [frame for frame in frames if frame not in self.labelled.labelled_frames]
        self.others = known.select(others) if others else None
        fixed = () if guidance is None else self.labelled.labelled_frames  # those whose evidence is their label
        self.guidance, self.smoothing = None, None
        if guidance is not None or smoothing:
            fine = fine or known
            flow = Flow(fine.volume, scratch)
            if smoothing:
                self.smoothing = Smoothing(flow, fixed, smoothing)
            if guidance is not None:
                labelled = fine.select(self.labelled.labelled_frames)
                self.guidance = Guidance(self.labelled, labelled, flow, classes, guidance, seed)

    def sample(self, index: int) -> Sample:
        return self.labelled if self.guidance is None else self.guidance.sample(index)

    @property
    def label_count(self) -> int:
        return len(self.labelled.labelled_frames)

    @property
    def guide(self) -> Guide | None:
        if self.guidance is None:
            return None
        size = self.known.height, self.known.width
        return Guide(self.guidance.fine, self.labelled.labelled_frames, self.label_count, size)

    @property
    def volume(self) -> Tensor:
        """What the network is given to segment."""
        return self.known.volume if self.guidance is None else self.guidance.volume

    def largest(self) -> tuple[Size, int]:
        frames, height, width = self.known.volume.shape[1:]
        labelled = len(self.labelled.labelled_frames)
        if self.guidance is not None:
            labelled = min(frames, labelled + self.guidance.pseudo_frames)
        return (frames, height, width), labelled

    def evaluate(self, net: RevSegNet) -> Evaluation:
        masks = [frame.mask for frame in segment(net, self.volume)]
        on_labelled = self._measure(masks, self.labelled)
        scalars = {f"labelled/{name}": value for name, value in on_labelled.named().items()}
        if self.others is not None:
            scalars |= {f"unlabelled/{name}": value for name, value in self._measure(masks, self.others).named().items()}
        return Evaluation(scalars, pictures(masks, self.others or self.labelled), on_labelled.JF)

    def finish(self, net: RevSegNet, folder: Path) -> dict[str, Any]:
        """J, F, JF: of the frames that were not labelled, at the size trained on, and of each object; None without truth.
        expected_J: of the same frames, by the probabilities alone; label_next: names of those to label next (``least_sure``).
        """
        masks, expected = self._write(net, folder)
        metrics: dict[str, Any] = {"J": None, "F": None, "JF": None, "objects": None, "baseline": None}
        if self.others is not None:
            baseline = self._measure(copy_nearest(self.labelled), self.others).named()
            of_each = {str(number): self._measure(masks, self.others, [number]).named() for number in self.objects}
            metrics = {**self._measure(masks, self.others).named(), "objects": of_each, "baseline": baseline}
        labelled = self.labelled.labelled_frames
        metrics["labelled"] = self._measure(masks, self.labelled).named()
        metrics["labelled_frames"] = list(labelled)
        unlabelled = [value for frame, value in enumerate(expected) if frame not in labelled]
        metrics["expected_J"] = fmean(unlabelled) if unlabelled else None
        metrics["label_next"] = [self.known.frame_names[frame] for frame in least_sure(expected, labelled)]
        return metrics

    def _write(self, net: RevSegNet, folder: Path) -> tuple[list[Mask], list[float]]:
        """Masks in the video's own size into the folder; returns them at the size trained on, and the J expected of each."""
        known = self.known
        masks: list[Mask] = []

        def native() -> Iterator[Segmented]:
            for frame in segment(net, self.volume, known.native_size, self.offsets, self.guide, self.smoothing):
                # At the pixels where the annotation, too, is sampled.
                masks.append(resize_mask(frame.mask, known.height, known.width))
                yield frame

        source = Source(known.source, known.frame_rate, known.frame_names, self.on_error)
        return masks, write_prediction(native(), source, folder, {"labelled_frames": self.labelled.labelled_frames})

    def _measure(self, masks: list[Mask], truth: Sample, objects: Sequence[int] | None = None) -> Measures:
        return measure(masks, truth, objects or self.objects)
