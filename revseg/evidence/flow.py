"""Dense optical flow between the frames of a video, and how far it can be trusted: DIS (Kroeger et al., arXiv:1603.03590).

    agreement(p) = exp(-|fro(to(p)) - p| / reach - |difference of colour| / contrast)

to: where in the other frame a pixel p is found; fro: the same from the other frame back. What was covered, left the frame or
moved too fast ends elsewhere on the way there and back again, or looks different.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from math import ceil

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.device import free_memory
from revseg.evidence.cache import digest
from revseg.evidence.config import FlowConfig
from revseg.evidence.store import Displacement, FlowRecords, FlowStore
from revseg.runs.phases import phase
from revseg.video.picture import picture_of

VERSION = 2
"""Version of the flow; another one whenever this file finds another flow for the same settings."""

MEAN = np.full((1, 3), 1 / 3, np.float32)
"""Mean of three channels (``cv2.transform``)."""

# Displacements are in 1/32 of a pixel, up to +-1024: half the memory of positions, and finer than the flow is exact.
SUBPIXEL = 32

# DIS takes no frames of fewer pixels on a side; and of how many least heights the longer side of enlarged frames is at most.
LEAST_SIDE, LONGEST = 12, 8

# What a thread at work on a frame takes of each pixel, at most (its fields and the buffers of DIS), and what all of them together
# may, of the memory that is free.
WORKING_BYTES, WORKING_SHARE = 200, 1 / 4

Field = NDArray[np.float32]
Image = NDArray[np.uint8]


class Flow:
    """Optical flow between any two frames of a video (C, T, H, W) uint8 on the CPU; from several threads at a time.

    Nothing is computed, and no file opened, before it is asked for. store: for what is needed again.
    threads: on how many frames ``pool`` works at a time, of large frames fewer; None: as many as PyTorch has threads.
    """

    def __init__(self, volume: Tensor, config: FlowConfig, *, store: FlowStore, threads: int | None = None) -> None:
        self.frames, height, width = volume.shape[1:]
        self.size = width, height
        self.config, self.store = config, store
        self.factor = enlargement(height, width, config.least_height)
        self._volume, self._wanted = volume, threads
        self._lock, self._local = threading.RLock(), threading.local()
        self._opened: FlowRecords | None = None
        self._pool: ThreadPoolExecutor | None = None

    @cached_property
    def key(self) -> str:
        """Key of all displacements: of the video's content and the settings they depend on."""
        config = self.config
        settings = config.least_height, config.preset, config.finest_scale, config.refinement
        return digest("flow", VERSION, cv2.__version__, self._volume, settings)

    @cached_property
    def agreement_key(self) -> str:
        """Key of all displacements and agreements."""
        config = self.config
        return digest(self.key, config.reach, config.contrast, config.blur, config.least)

    @cached_property
    def identity(self) -> Field:
        """(H, W, 2): where each pixel (x, y) is."""
        width, height = self.size
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        return np.stack([columns, rows], axis=-1)

    @cached_property
    def threads(self) -> int:
        """On how many frames ``pool`` works at a time."""
        pixels = self.size[0] * self.size[1] * self.factor**2
        fitting = WORKING_SHARE * free_memory(torch.device("cpu")) / (WORKING_BYTES * pixels)
        return max(1, min(int(fitting), self._wanted or torch.get_num_threads()))

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Its threads; OpenCV lets go of Python's lock."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, "flow")
                # Every call of OpenCV would wake as many threads of its own as there are cores, of the whole process's: with 16
                # of both on 2 cores, a smoothing switched threads two million times and took 1.7 times as long.
                cv2.setNumThreads(max(1, torch.get_num_threads() // self.threads))
            return self._pool

    @property
    def _records(self) -> FlowRecords:
        with self._lock:
            if self._opened is None:
                width, height = self.size
                self._opened = self.store.open(self.key if self.store.keeps else "", height, width)
            return self._opened

    def keep_near(self, hops: Iterable[int]) -> None:
        """Computes all flow between frames so far apart, several at a time, as far as there is room to keep it."""
        signed = sorted({sign * hop for hop in hops for sign in (-1, 1)})
        near = [(frame, frame + hop) for frame in range(self.frames) for hop in signed if 0 <= frame + hop < self.frames]
        pairs = [pair for pair in near if pair not in self._records][: self._records.room]
        if pairs:
            with phase("optical flow", total=len(pairs), unit="flow") as bar:
                for _ in self.pool.map(self._keep, pairs):
                    bar.advance(1)

    def _keep(self, pair: tuple[int, int]) -> None:
        self.displacement(*pair)

    def position(self, frame: int, other: int, *, again: bool = True) -> Field:
        """(H, W, 2): where in `other` each pixel (x, y) of `frame` is found. again: it will be needed again."""
        return self.moved(self.displacement(frame, other, again=again))

    def displacement(self, frame: int, other: int, *, again: bool = True) -> Displacement:
        """The same to be held in memory: (H, W, 2), in 1 / SUBPIXEL of a pixel, from where it is in ``frame``."""
        if (kept := self._records.get((frame, other))) is not None:
            return kept
        found = self._find(frame, other)
        if again or self.store.keeps:
            self._records.put((frame, other), found)
        return found

    def keeps(self, frame: int, other: int) -> bool:
        """Whether ``displacement`` need not compute it."""
        return (frame, other) in self._records

    def moved(self, displacement: Displacement) -> Field:
        """The position that a displacement leads to."""
        return self.identity + displacement * np.float32(1 / SUBPIXEL)

    def _find(self, frame: int, other: int) -> Displacement:
        flow = self._dis().calc(self._grey(frame), self._grey(other), None)
        moved = cv2.resize(flow, self.size, interpolation=cv2.INTER_AREA) * (SUBPIXEL / self.factor)
        return moved.round().clip(-(2**15), 2**15 - 1).astype(np.int16)

    def _dis(self) -> cv2.DISOpticalFlow:
        """One for each thread: it has buffers of its own."""
        if not hasattr(self._local, "dis"):
            preset = getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.config.preset.upper()}")
            self._local.dis = cv2.DISOpticalFlow.create(preset)
            self._local.dis.setFinestScale(self.config.finest_scale)
            self._local.dis.setVariationalRefinementIterations(self.config.refinement)
        return self._local.dis

    def agreement(self, frame: int, other: int, to: Field, fro: Field) -> Field:
        """(H, W) of a frame, 0 to 1. to: from it to the other; fro: back."""
        error = cv2.magnitude(*cv2.split(look_up(fro, to, cv2.INTER_LINEAR) - self.identity)) * self.factor
        difference = cv2.absdiff(look_up(self._colours(other), to, cv2.INTER_LINEAR), self._colours(frame))
        mean = cv2.transform(difference.astype(np.float32), MEAN)
        return np.exp(-error / self.config.reach - mean / self.config.contrast).clip(min=self.config.least)

    def _grey(self, frame: int) -> Image:
        grey = cv2.cvtColor(self._picture(frame), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, None, fx=self.factor, fy=self.factor, interpolation=cv2.INTER_CUBIC)

    def _colours(self, frame: int) -> Image:
        """Blurred: noise is no difference."""
        return cv2.GaussianBlur(self._picture(frame), (self.config.blur, self.config.blur), 0)

    def _picture(self, frame: int) -> Image:
        """Made anew each time, in no time: a second copy of the video would lie in memory."""
        return picture_of(list(self._volume[:, frame].numpy()))


def enlargement(height: int, width: int, least_height: int) -> int:
    """By how much frames are enlarged for the flow: to the least height; narrow and flat ones less, which would become huge."""
    widest = LONGEST * least_height // max(height, width)
    return max(1, ceil(LEAST_SIDE / min(height, width)), min(ceil(least_height / height), widest))


def look_up(image: NDArray, position: Field, interpolation: int) -> NDArray:
    """image at each (x, y) of position (H, W, 2); beyond the border, what is at the border."""
    if image.shape[2:] == (2,):  # each by itself: OpenCV takes four times as long for both at once, on a grid of 1/32 of a pixel
        return cv2.merge([look_up(channel, position, interpolation) for channel in cv2.split(image)])
    return cv2.remap(image, position, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


def look_up_planes(planes: Field, position: Field) -> Field:
    """The same of planes (C, H, W), linearly."""
    return np.stack([look_up(plane, position, cv2.INTER_LINEAR) for plane in planes])


def flow_height(height: int, native: int, config: FlowConfig) -> int:
    """Returns the lines at which labels are carried along for frames of a height, of a video of a native height."""
    return max(height, min(config.height, native))
