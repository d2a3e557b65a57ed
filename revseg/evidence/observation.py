"""A video with all that is known of it, at the size of the network and at that of its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from revseg import storage
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carry import carry
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.flow import Flow, flow_height
from revseg.evidence.motion import motion_evidence
from revseg.evidence.store import FlowStore
from revseg.evidence.team import ALONE, Team
from revseg.labels.sample import Sample


@dataclass(frozen=True)
class Observation:
    """A video with what is known of it."""

    video: Sample
    """At the size of the network; its labelled frames are those some of whose pixels have a label that is given."""
    flow: Flow | None = None
    """Along which labels are carried, and predictions without evidence are smoothed."""
    evidence: Evidence | None = None
    """What the labels of whole frames say, at the size of the flow; None where no labels are carried."""
    seen: Evidence | None = None
    """What the network sees of evidence, at its size; None for one that sees pictures alone."""
    returned: tuple[Evidence, ...] = ()
    """What comes back to each whole labelled frame, at the size of the network; the T axis are the shares."""

    @property
    def inputs(self) -> Tensor:
        """What the network sees: (C, T, H, W) uint8, or (C + classes + 1, T, H, W) with evidence."""
        if self.seen is None:
            return self.video.volume
        channels, planes = len(self.video.volume), self.seen.classes + 1
        inputs = storage.empty(channels + planes, *self.video.volume.shape[1:])
        inputs[:channels], inputs[channels:-1], inputs[-1] = self.video.volume, self.seen.probabilities, self.seen.confidence
        return inputs

    @property
    def fixed(self) -> tuple[int, ...]:
        """Frames whose masks are their labels; where these are void, the network says what is there."""
        return () if self.evidence is None else self.video.whole_frames


def height_of_evidence(config: EvidenceConfig, height: int | None, native: int) -> int | None:
    """Height at which a video is decoded, for a network that sees `height` lines of `native`; None: as it is."""
    if config.source == "none" and not config.smoothing.sweeps:
        return height
    return flow_height(height or native, native, config.flow)


def observe(
    video: Sample,
    *,
    height: int | None,
    classes: int,
    config: EvidenceConfig,
    store: FlowStore,
    cache: EvidenceCache,
    shares: Sequence[float] = (),
    unlabelled: str = "motion",
    threads: int | None = None,
    team: Team = ALONE,
) -> Observation:
    """What is known of a video that was decoded at the height of its evidence (``height_of_evidence``).

    height: of the network's frames. store, cache: for what is needed again. shares: from how far labels come back to
    labelled frames. unlabelled: what a network is shown of a video without labels, "motion" or "nothing".
    team: processes that call it together, and share out the carrying (``carry``).
    """
    small = video.resized(height)
    size = small.height, small.width
    if config.source == "none" and not config.smoothing.sweeps:
        return Observation(small)
    flow = Flow(video.volume, config.flow, store=store, threads=threads)
    if store.keeps:
        store.use(flow.key)  # though all may come from the cache
    if config.source == "none":
        return Observation(small, flow)
    if video.labelled_frames:
        # A few labelled pixels are no evidence of a frame: shown those it is asked for, a network would learn to copy them.
        whole = video.select(video.whole_frames)
        if not whole.labelled_frames:
            raise ValueError(
                f"no frame of {video.source} has labels on half of its pixels, which optical flow could carry along; set "
                "experiment=volume or evidence=none, or label a whole frame, or draw strokes of the background too"
            )
        carried = carry(whole, classes, flow=flow, config=config, shares=shares, cache=cache, team=team)
        returned = tuple(one.resized(size) for one in carried.returned)
        seen = carried.evidence.resized(size, flow.pool)
        return Observation(small, flow, carried.evidence, seen=seen, returned=returned)
    if unlabelled == "motion":
        return Observation(small, flow, seen=motion_evidence(flow, classes, config=config, cache=cache).resized(size))
    return Observation(small, flow, seen=Evidence.blank(classes, video.frames, size))
