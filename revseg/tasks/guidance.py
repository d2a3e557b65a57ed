"""Training with labels that optical flow carries from frame to frame: what the network is shown of them, and asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from revseg.evidence.carry import propagate
from revseg.evidence.evidence import resize_evidence
from revseg.evidence.flow import Flow
from revseg.labels.sample import VOID, Sample
from revseg.training.feed import generator_for

# From how far labels come back to a labelled frame, as share of the way to the next one.
SHARES = (0.25, 0.5, 0.75)
# Of the way to the end of the video where only one frame is labelled. Little comes back from farther off, and the network then
# learns to trust nothing (1 labelled, J with these and with those above: motocross-jump 0.361 and 0.263, libby 0.487 and 0.473).
SHARES_OF_ONE = (0.03, 0.08, 0.2)


# One label: flow's confidence ends a few frames off, and the network would learn from these alone. There the probability, which
# motion and the frames around have a part in, has to be sure, and more frames are trained on. J with p >= 0.8 and 16 frames, and
# as with several labels: motocross-jump 0.641 and 0.535, drift-straight 0.732 and 0.710, dance-twirl 0.719 and 0.687.
CERTAIN_OF_ONE, MORE_OF_ONE = 0.8, 4


@dataclass(frozen=True)
class GuidanceConfig:
    """How a guided network (network.guided) learns when to trust what flow carries along."""

    returned: float = 0.7
    """Probability that a labelled frame shows, in place of its labels, what comes back of them from frames that have none: there
    the network learns to mend, and is told the truth."""
    blind: float = 0.1
    """Probability that a step shows no carried labels at all, so that the network also predicts without."""
    pseudo_frames: int = 4
    """Frames without labels that are trained on in a step with what the evidence is sure of; 0: none. Four times as many where
    only one frame is labelled."""
    certain: float = 0.5
    """Probability times confidence, from 0 to 1, from which on the evidence is taken to be sure."""

    def __post_init__(self) -> None:
        for name in ("returned", "blind", "certain"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"guidance.{name} is {getattr(self, name)}: give a number from 0 to 1")
        if self.pseudo_frames < 0:
            raise ValueError(f"guidance.pseudo_frames is {self.pseudo_frames}: give 0 or more")


class Guidance:
    """labelled: the video with the labels that are given; fine: the same, at the size at which labels are carried along, and its
    flow.
    """

    def __init__(
        self,
        labelled: Sample,
        fine: Sample,
        flow: Flow,
        classes: int,
        config: GuidanceConfig,
        seed: int,
    ) -> None:
        self.labelled, self.config, self.seed = labelled, config, seed
        known = propagate(fine, classes, SHARES if len(fine.labelled_frames) > 1 else SHARES_OF_ONE, flow)
        size = labelled.height, labelled.width
        self.fine = known.evidence
        self.evidence = resize_evidence(known.evidence, size)
        self.returned = [resize_evidence(row.transpose(0, 1), size).transpose(0, 1) for row in known.returned]

    @property
    def one(self) -> bool:
        """There is but one labelled frame."""
        return len(self.labelled.labelled_frames) == 1

    @property
    def pseudo_frames(self) -> int:
        """That a step is trained on."""
        return self.config.pseudo_frames * (MORE_OF_ONE if self.one else 1)

    @property
    def volume(self) -> Tensor:
        """(3 + classes + 1, T, H, W): the video, with all that is known."""
        return replace(self.labelled, evidence=self.evidence).inputs

    def sample(self, index: int) -> Sample:
        """What step number ``index`` is trained on; depends on nothing else."""
        generator = generator_for("guidance", self.seed, index)
        frames = self.labelled.labelled_frames
        evidence = self.evidence.clone()
        draws = torch.rand(2, 1 + len(frames), generator=generator)
        if draws[0, -1] < self.config.blind:
            evidence.zero_()
        else:
            for frame, returned, (chance, which) in zip(frames, self.returned, draws.t()[:-1].tolist(), strict=True):
                if chance < self.config.returned:
                    evidence[:, frame] = returned[int(which * len(returned))]
        sample = replace(self.labelled, evidence=evidence)
        return self._with_pseudo_labels(sample, generator) if self.config.pseudo_frames else sample

    def _with_pseudo_labels(self, sample: Sample, generator: torch.Generator) -> Sample:
        unlabelled = [frame for frame in range(sample.frames) if frame not in sample.labelled_frames]
        order = torch.randperm(len(unlabelled), generator=generator)[: self.pseudo_frames].tolist()
        chosen = {unlabelled[i]: self._pseudo_labels(unlabelled[i]) for i in order}
        rows = dict(zip(sample.labelled_frames, sample.labels, strict=True)) | chosen
        frames = tuple(sorted(rows))
        return replace(sample, labels=torch.stack([rows[frame] for frame in frames]), labelled_frames=frames)

    def _pseudo_labels(self, frame: int) -> Tensor:
        """(H, W): the class that the evidence is sure of, void elsewhere."""
        probability, number = self.evidence[:-1, frame].max(0)
        if self.one:
            sure = probability >= 255 * CERTAIN_OF_ONE
        else:
            sure = probability.float() * self.evidence[-1, frame] >= 255**2 * self.config.certain
        return torch.where(sure, number.to(torch.uint8), VOID)
