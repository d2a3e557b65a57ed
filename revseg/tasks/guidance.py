"""Training with evidence: what the network is shown of it, and asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from revseg.evidence.evidence import Evidence
from revseg.evidence.observation import Observation
from revseg.evidence.shown import Shown
from revseg.labels.palette import VOID
from revseg.tasks.config import GuidanceConfig
from revseg.training.feed import generator_for
from revseg.training.item import Item
from revseg.training.window import window_of_step


@dataclass(frozen=True)
class Guidance:
    """Makes training items of an observed video, so that the network learns when to trust its evidence."""

    observation: Observation
    config: GuidanceConfig
    seed: int
    window: int | None = None
    """How many frames a step sees; None: all."""

    @property
    def one(self) -> bool:
        """Whether there is but one labelled frame that labels are carried from."""
        return len(self.observation.video.whole_frames) == 1

    @property
    def pseudo_frames(self) -> int:
        """How many frames without labels a step is trained on."""
        return pseudo_frames_of(self.config, one=self.one)

    def item(self, index: int) -> Item:
        """Returns what step number ``index`` is trained on; depends on nothing else."""
        video = self.observation.video
        generator = generator_for("guidance", self.seed, index)
        draws = torch.rand(2, 1 + len(video.labelled_frames), generator=generator)
        window = window_of_step(video.labelled_frames, video.frames, self.window, seed=self.seed, index=index)
        item = Item(video.volume, video.labels, video.labelled_frames, evidence=self._shown(draws)).within(window)
        return self._with_pseudo_labels(item, window.start, generator) if self.config.pseudo_frames else item

    def _shown(self, draws: Tensor) -> Shown:
        """Returns the evidence that a step sees: none, or what comes back in place of some labels."""
        seen, video = self._seen, self.observation.video
        if draws[0, -1] < self.config.blind:
            return Shown(Evidence.blank(seen.classes, seen.frames, seen.size))
        others = {}
        of_frame = dict(zip(video.labelled_frames, draws.t()[:-1].tolist(), strict=True))
        for frame, returned in zip(video.whole_frames, self.observation.returned, strict=True):
            chance, which = of_frame[frame]
            if chance < self.config.returned:
                share = int(which * returned.frames)
                others[frame] = returned.planes(slice(share, share + 1))[:, 0]
        return Shown(seen, others)

    @property
    def _seen(self) -> Evidence:
        assert self.observation.seen is not None
        return self.observation.seen

    def _with_pseudo_labels(self, item: Item, first: int, generator: torch.Generator) -> Item:
        """first: of the frames of the item, in the video."""
        unlabelled = [frame for frame in range(item.frames) if frame not in item.labelled_frames]
        order = torch.randperm(len(unlabelled), generator=generator)[: self.pseudo_frames].tolist()
        chosen = {unlabelled[i]: self._pseudo_labels(first + unlabelled[i]) for i in order}
        rows = dict(zip(item.labelled_frames, item.labels, strict=True)) | chosen
        frames = tuple(sorted(rows))
        return replace(item, labels=torch.stack([rows[frame] for frame in frames]), labelled_frames=frames)

    def _pseudo_labels(self, frame: int) -> Tensor:
        """(H, W): the class that the evidence is sure of, void elsewhere."""
        probability, number = self._seen.probabilities[:, frame].max(0)
        if self.one:  # confidence ends a few frames off the label, and the network would learn from these alone
            sure = probability >= 255 * self.config.certain_of_one
        else:
            sure = probability.float() * self._seen.confidence[frame] >= 255**2 * self.config.certain
        return torch.where(sure, number.to(torch.uint8), VOID)


def pseudo_frames_of(config: GuidanceConfig, *, one: bool) -> int:
    """How many frames without labels a step is trained on. one: whether there is but one labelled frame."""
    return config.pseudo_frames * (config.more_of_one if one else 1)


def shares_of(config: GuidanceConfig, labelled_frames: Sequence[int]) -> tuple[float, ...]:
    """From how far labels come back to a labelled frame, as shares of the way to the next one."""
    return tuple(config.shares if len(labelled_frames) > 1 else config.shares_of_one)
