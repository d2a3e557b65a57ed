"""Bytes that evidence takes, phase by phase, told from sizes alone: what its arrays hold, by the code that makes them.

P: pixels of a frame at the size of the evidence, O: classes, T: frames. What stays is the evidence, (O + 1) T P bytes. What is
large lies on disk (``storage``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from revseg import storage
from revseg.evidence.background import DIFFERENCES, PICTURES
from revseg.evidence.config import EvidenceConfig, LooksConfig, SmoothingConfig
from revseg.evidence.descriptors import NUMBERS, REACH
from revseg.evidence.flow import enlargement
from revseg.evidence.gaps import Gap, gaps_between
from revseg.evidence.native.library import expected
from revseg.evidence.opencv import COLOURS
from revseg.evidence.sight import STRIP
from revseg.evidence.store import HEADER, LARGEST_BYTES


@dataclass(frozen=True)
class _Bytes:
    """What is held of a pixel while it is computed, by each thread (measured)."""

    flow: int
    """Optical flow, of each pixel of the enlarged frames."""
    flow_stays: int
    """What of it is held until the evidence is made."""
    descriptors: int
    """Descriptors in the making, and as they wait."""
    behind: int
    """How a pixel differs from what is behind it."""
    fine: int
    """All that is seen of a pixel where looks see more lines."""


BY_C = _Bytes(flow=20, flow_stays=0, descriptors=4 * NUMBERS + 36, behind=4 * DIFFERENCES + 120, fine=24)
BY_OPENCV = _Bytes(flow=45, flow_stays=45, descriptors=8 * NUMBERS + 120, behind=4 * DIFFERENCES + 150, fine=230)

NEAR_SHARE = 0.3
"""Share of the pixels of a frame that are near contours (measured: 0.14 to 0.34)."""


@dataclass(frozen=True)
class EvidenceSize:
    """What evidence is made of, in numbers."""

    frames: int
    size: tuple[int, int]
    """(H, W)."""
    classes: int
    labelled_frames: tuple[int, ...]
    """Those whose labels are carried; empty: what moves by itself is the only evidence."""
    shares: int = 0
    """From how many distances labels come back to a labelled frame."""

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def held_bytes(self) -> int:
        """Probabilities and confidence, a byte each."""
        return (self.classes + 1) * self.frames * self.pixels

    @property
    def moved_bytes(self) -> int:
        """How the pixels of all frames move by themselves, a byte each."""
        return self.frames * self.pixels

    @property
    def returned_bytes(self) -> int:
        """What comes back to the labelled frames."""
        return len(self.labelled_frames) * (self.classes + 1) * self.shares * self.pixels

    @property
    def gaps(self) -> list[Gap]:
        """The stretches between labelled frames."""
        return gaps_between(self.labelled_frames, self.frames) if self.labelled_frames else []

    @property
    def longest_gap(self) -> int:
        """Frames held at once while labels are carried: of the longest gap between two labelled frames."""
        return max((gap.stop - gap.first for gap in self.gaps if len(gap.rows) == 2), default=0)


def evidence_phases(sizes: EvidenceSize, config: EvidenceConfig, threads: int) -> dict[str, int]:
    """Returns the bytes of memory of each phase beside the video, its masks and the evidence itself."""
    pixels, classes = sizes.pixels, sizes.classes
    flow, fields = (flow_bytes(sizes.size, config, threads, stays=stays) for stays in (False, True))
    moved = storage.held(sizes.moved_bytes) if moves(sizes, config) else 0
    returned = storage.held(sizes.returned_bytes)
    fixed = len(sizes.labelled_frames)
    found = {"optical flow": flow + 24 * threads * pixels}
    if sizes.labelled_frames:
        # Positions there and back of the frames on their way; those, agreement, and sums of each; and the sums of one.
        summing = 8 + 4 * classes if expected() else 4 + 12 * classes
        carrying = (threads + 2) * 16 + threads * summing
        again = with_pseudo_labels(sizes, config)
        held = max(_waiting(sizes), _waiting(again) + moved + returned + storage.held(sizes.held_bytes) if again else 0)
        found["carrying labels"] = flow + held + (8 * classes + carrying) * pixels
        found["carrying labels back"] = fields + moved + returned + (carrying + 12 * classes) * pixels
    if moves(sizes, config):
        found["motion"] = fields + moved + threads * 60 * pixels
    if asks_looks(sizes, config):
        found["looks"] = fields + moved + returned + looks_bytes(sizes, config.looks, threads)
    if config.smoothing.sweeps:
        window = smoothing_bytes(pixels, sizes.frames, classes, config=config.smoothing, fixed=fixed, threads=threads)
        if asks_looks(sizes, config):
            window += draft_bytes(sizes, config.looks) + storage.held(recognised_bytes(sizes, config.looks))
        found["smoothing evidence"] = fields + moved + returned + window
    return found


def with_pseudo_labels(sizes: EvidenceSize, config: EvidenceConfig) -> EvidenceSize | None:
    """Returns the same with the frames that are carried along once more, in the middles of stretches; None: there are none."""
    count, others = config.pseudo_labels.frames, sizes.frames - 1
    if not count or not others or len(sizes.labelled_frames) != 1:
        return None
    (own,) = sizes.labelled_frames
    places = ((2 * index + 1) * others // (2 * count) for index in range(count))  # among the others
    middles = (place + (place >= own) for place in places)
    return replace(sizes, labelled_frames=tuple(sorted({own, *middles})))


def _waiting(sizes: EvidenceSize) -> int:
    """Bytes in memory of float16 of each class, which wait for the other side of a gap."""
    return storage.held(2 * sizes.classes * sizes.longest_gap * sizes.pixels)


def moves(sizes: EvidenceSize, config: EvidenceConfig) -> bool:
    """Whether it is told how the pixels move by themselves."""
    return config.likelihood.enabled or not sizes.labelled_frames


def asks_looks(sizes: EvidenceSize, config: EvidenceConfig) -> bool:
    """Whether it is told what the classes look like."""
    return config.looks.power > 0 and bool(sizes.labelled_frames)


def seen_pixels(sizes: EvidenceSize, config: LooksConfig) -> int:
    """Returns the pixels of a frame whose looks are seen."""
    return round(sizes.pixels * min(1, config.height / sizes.size[0]) ** 2)


def finer_pixels(sizes: EvidenceSize, config: LooksConfig) -> int:
    """Returns the pixels of a frame at the size that contours are seen at; 0: they are not seen anew."""
    if not config.sees_contours_anew(sizes.size[0]):
        return 0
    return round(sizes.pixels * min(1, config.contour_height / sizes.size[0]) ** 2)


def looks_bytes(sizes: EvidenceSize, config: LooksConfig, threads: int) -> int:
    """Bytes of ``Looks``: frames that are being seen, and one that is weighed, as it is seen and at its size; and contours."""
    seen, numbers = seen_pixels(sizes, config), NUMBERS + config.background * DIFFERENCES
    held = BY_C if expected() else BY_OPENCV
    seeing = held.descriptors + config.background * held.behind
    pictures = config.background * 4 * min(sizes.frames, PICTURES)  # and where they are free
    classified = (4 * numbers + 12 * sizes.classes) * seen + 4 * sizes.classes * sizes.pixels
    weighing = max(classified, 24 * sizes.classes * sizes.pixels)
    kept = draft_bytes(sizes, config) + storage.held(recognised_bytes(sizes, config))
    return kept + (threads * seeing + pictures) * seen + weighing + _finer_bytes(sizes, config, threads)


def _finer_bytes(sizes: EvidenceSize, config: LooksConfig, threads: int) -> int:
    """Bytes of frames, of the pixels near contours that wait, and of how frames differ from what is behind, as it is seen in the
    large. Where that is not compiled, of strips of frames, or of a whole one that is learned from, and of the latter enlarged."""
    pixels, differences = finer_pixels(sizes, config), 4 * config.background * DIFFERENCES
    differing = differences * (threads + 1) * seen_pixels(sizes, config) if pixels else 0
    if expected():
        some = (4 * NUMBERS + differences) * (threads + 1) * NEAR_SHARE
        return round((BY_C.fine * threads + some + 8 * sizes.classes) * pixels) + differing
    lines = min(config.contour_height, sizes.size[0])
    strip = min(1, (STRIP + 2 * REACH) / lines)
    waiting = (4 * NUMBERS + differences) * (threads + 1) * NEAR_SHARE
    told = BY_OPENCV.fine * threads * strip + waiting + 8 * sizes.classes + differences * threads
    return round(max(BY_OPENCV.fine + differences, told) * pixels) + differing


def draft_bytes(sizes: EvidenceSize, config: LooksConfig) -> int:
    """Bytes of ``Draft``: the probabilities of some frames, and where the ground of all is, a bit a pixel."""
    finest = max(seen_pixels(sizes, config), finer_pixels(sizes, config))
    return sizes.classes * min(config.frames, sizes.frames) * finest + storage.held(ground_bytes(sizes, config))


def ground_bytes(sizes: EvidenceSize, config: LooksConfig) -> int:
    """Bytes of where the ground is in all frames."""
    return sizes.frames * math.ceil(seen_pixels(sizes, config) / 8)


def recognised_bytes(sizes: EvidenceSize, config: LooksConfig) -> int:
    """Bytes of ``Recognised``: a byte for each pixel that is seen."""
    return sizes.frames * seen_pixels(sizes, config)


def flow_bytes(size: tuple[int, int], config: EvidenceConfig, threads: int, *, stays: bool = False) -> int:
    """Bytes of what computes optical flow, or stays of it, of the identity that positions are told from, and of colours that are
    compared."""
    pixels, by_c = size[0] * size[1], expected() and config.flow.by_c and not config.flow.refinement
    held = BY_C if by_c else BY_OPENCV
    each = (held.flow_stays if stays else held.flow) * enlargement(*size, config.flow.least_height) ** 2
    return threads * each * pixels + (8 + 4 * COLOURS) * pixels


def smoothing_bytes(
    pixels: int, frames: int, classes: int, *, config: SmoothingConfig, fixed: int, threads: int, kept: bool = True
) -> int:
    """Bytes of ``Smoothing``: the frames between the first sweep and the last, with how far their flows agree.

    fixed: frames whose truth is known. kept: whether there is room on the disk for the flow, which is held else.
    """
    reach, sweeps = max(config.hops), config.sweeps
    window = min(frames, (reach + 1) * sweeps + reach + 1)
    ahead = 1 + threads // (1 + sweeps)
    linked = min(frames, (reach + 1) * (sweeps - 1) + reach + 1 + ahead)
    links = 2 * len(config.hops) * linked * (1 - fixed / frames)  # there and back; fixed frames need none
    objects = 4 * (classes - 1)  # the ground has what is left of them
    update = 16 + objects if expected() else 20 + 2 * objects  # ways to the neighbours and a sum; or a way at a time
    working = min(threads, sweeps) * update + 24 + 8 * classes  # of an update, links in the making, what is given
    # What is known of each frame and, where it is not fixed, given; until the first sweep its weight, and where it is thin.
    held = objects * window * (2 - fixed / frames) + 8 * min(window, reach + 1)
    return round((held + links * (4 if kept else 8) + working) * pixels)


def evidence_disk(sizes: EvidenceSize, config: EvidenceConfig, *, keeps: bool) -> dict[str, int]:
    """Returns the bytes on disk: flow, which a run without a cache needs too until it ends, and the cache of evidence."""
    near, direct = flow_counts(sizes, config)
    record = 4 * sizes.pixels + HEADER.size
    disk = {"flow": min(LARGEST_BYTES, (near + (direct if keeps else 0)) * record)}
    if keeps:
        labels = 2 * sizes.held_bytes + sizes.returned_bytes if sizes.labelled_frames else sizes.held_bytes
        disk["evidence"] = labels + (sizes.moved_bytes if moves(sizes, config) else 0)
    return disk


def flow_counts(sizes: EvidenceSize, config: EvidenceConfig) -> tuple[int, int]:
    """Returns the number of flows between neighbours, and of those straight from labelled frames, and from those that are taken
    for such, that are none of them."""
    hops = {1, *(config.smoothing.hops if config.smoothing.sweeps else ())}
    near = sum(2 * max(0, sizes.frames - hop) for hop in hops)
    again = with_pseudo_labels(sizes, config)
    gaps = [*sizes.gaps, *(again.gaps if again else ())]
    return near, sum(2 * _beyond(gap.stop - gap.first, hops) * len(gap.rows) for gap in gaps)


def _beyond(frames: int, hops: set[int]) -> int:
    """Frames of a gap that are farther off its end than any flow between neighbours leads."""
    return frames - sum(hop <= frames for hop in hops)
