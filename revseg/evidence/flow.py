"""Dense optical flow between the frames of a video, and how far it can be trusted: DIS (Kroeger et al., arXiv:1603.03590).

    agreement(p) = exp(-|fro(to(p)) - p| / REACH - |difference of colour| / CONTRAST)

to: where in the other frame a pixel p is found; fro: the same from the other frame back. What was covered, left the frame or
moved too fast ends elsewhere on the way there and back again, or looks different.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.device import free_memory
from revseg.evidence.store import Displacement, FlowStore

# Smaller frames are enlarged to about this height for the flow: DIS matches patches of 8 pixels, too coarse for them (mean J over
# ten sequences at height 96, 5 labelled, patches at half resolution: 0.67 as they are, 0.75 enlarged four times).
LEAST_HEIGHT = 384
# Labels are carried along at this height, or that of the frames if it is more: finer than a small training, fine enough for a
# large one (height 96, 5 labelled: J of the evidence 0.78 carried at height 96, 0.83 at 480; three sequences).
FLOW_HEIGHT = 480
# Patches are matched down to the full resolution, and their flow is not smoothed. J of the evidence, 5 labelled, height 96,
# dance-twirl, motocross-jump, kite-surf: 0.844, 0.886, 0.816; smoothed in 5 iterations 0.840, 0.873, 0.805; those down to half
# the resolution alone, which is OpenCV's preset "medium" and takes a third of the time, 0.818, 0.851, 0.783.
FINEST_SCALE, REFINEMENT = 0, 0
# Error, in pixels at LEAST_HEIGHT, and difference, of 255, at which the agreement has fallen to 1/e.
REACH, CONTRAST = 16.0, 10.0
MEAN = np.full((1, 3), 1 / 3, np.float32)
"""Of three channels (``cv2.transform``)."""

# Displacements are in 1/32 of a pixel, up to +-1024: half the memory of positions, and finer than the flow is exact.
SUBPIXEL = 32
# Flow between frames so far apart is needed again and again (by ``propagate``, ``motion`` and ``Smoothing``), and kept.
NEAR = 2

# What a thread at work on a frame takes of each pixel, at most (its fields and the buffers of DIS; at 720 lines 4 threads took
# 160 more than 1), and what all of them together may, of the memory that is free.
WORKING_BYTES, WORKING_SHARE = 200, 1 / 4

Field = NDArray[np.float32]
Image = NDArray[np.uint8]


class Flow:
    """Optical flow between any two frames of a video (3, T, H, W) uint8 on the CPU; from several threads at a time.

    scratch: folder for what is needed again (``FlowStore``); None: that of the system for temporary files.
    threads: on how many frames ``pool`` works at a time, of large frames fewer; None: as many as PyTorch has threads.
    """

    def __init__(self, volume: Tensor, scratch: Path | None = None, threads: int | None = None) -> None:
        self.frames, height, width = volume.shape[1:]
        self._volume, self.size = volume, (width, height)
        self.factor = ceil(LEAST_HEIGHT / height)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        self.identity: Field = np.stack([columns, rows], axis=-1)
        self._local = threading.local()
        self._near = FlowStore(scratch, height, width)
        fitting = WORKING_SHARE * free_memory(torch.device("cpu")) / (WORKING_BYTES * width * height * self.factor**2)
        self.threads = max(1, min(int(fitting), threads or torch.get_num_threads()))
        self.pool = ThreadPoolExecutor(self.threads, "flow")  # OpenCV lets go of Python's lock
        # Every call of OpenCV would wake as many threads of its own as there are cores, of the whole process's: with 16 of both
        # on 2 cores, a smoothing switched threads two million times and took 1.7 times as long.
        cv2.setNumThreads(max(1, torch.get_num_threads() // self.threads))

    def keep_near(self) -> None:
        """Compute all that will be needed again, several at a time, as far as there is room to keep it."""
        hops = [hop for hop in range(-NEAR, NEAR + 1) if hop]
        pairs = [(frame, frame + hop) for frame in range(self.frames) for hop in hops if 0 <= frame + hop < self.frames]
        for _ in self.pool.map(self._keep, pairs[: self._near.room]):
            pass

    def _keep(self, pair: tuple[int, int]) -> None:
        self.displacement(*pair)

    def position(self, frame: int, other: int) -> Field:
        """(H, W, 2): where in `other` each pixel (x, y) of `frame` is found."""
        return self.moved(self.displacement(frame, other))

    def displacement(self, frame: int, other: int) -> Displacement:
        """The same to be held in memory: (H, W, 2), in 1 / SUBPIXEL of a pixel, from where it is in ``frame``."""
        if (kept := self._near.get((frame, other))) is not None:
            return kept
        found = self._find(frame, other)
        if abs(frame - other) <= NEAR:
            self._near.put((frame, other), found)
        return found

    def keeps(self, frame: int, other: int) -> bool:
        """Whether ``displacement`` need not compute it."""
        return (frame, other) in self._near

    def moved(self, displacement: Displacement) -> Field:
        """The position that a displacement leads to."""
        return self.identity + displacement * np.float32(1 / SUBPIXEL)

    def _find(self, frame: int, other: int) -> Displacement:
        if not hasattr(self._local, "dis"):  # one for each thread: it has buffers of its own
            self._local.dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            self._local.dis.setFinestScale(FINEST_SCALE)
            self._local.dis.setVariationalRefinementIterations(REFINEMENT)
        flow = self._local.dis.calc(self._grey(frame), self._grey(other), None)
        moved = cv2.resize(flow, self.size, interpolation=cv2.INTER_AREA) * (SUBPIXEL / self.factor)
        return moved.round().clip(-(2**15), 2**15 - 1).astype(np.int16)

    def agreement(self, frame: int, other: int, to: Field, fro: Field) -> Field:
        """(H, W) of a frame, 0 to 1. to: from it to the other; fro: back."""
        error = cv2.magnitude(*cv2.split(look_up(fro, to, cv2.INTER_LINEAR) - self.identity)) * self.factor
        difference = cv2.absdiff(look_up(self._colours(other), to, cv2.INTER_LINEAR), self._colours(frame))
        mean = cv2.transform(difference.astype(np.float32), MEAN)
        return np.exp(-error / REACH - mean / CONTRAST).clip(min=1e-3)

    def _grey(self, frame: int) -> Image:
        grey = cv2.cvtColor(self._picture(frame), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, None, fx=self.factor, fy=self.factor, interpolation=cv2.INTER_CUBIC)

    def _colours(self, frame: int) -> Image:
        """Blurred: noise is no difference."""
        return cv2.GaussianBlur(self._picture(frame), (3, 3), 0)

    def _picture(self, frame: int) -> Image:
        """Made anew each time, in no time: a second copy of the video would lie in memory."""
        return cv2.merge(list(self._volume[:, frame].numpy()))


def look_up(image: NDArray, position: Field, interpolation: int) -> NDArray:
    """image at each (x, y) of position (H, W, 2); beyond the border, what is at the border."""
    if image.shape[2:] == (2,):  # each by itself: OpenCV takes four times as long for both at once, on a grid of 1/32 of a pixel
        return cv2.merge([look_up(channel, position, interpolation) for channel in cv2.split(image)])
    return cv2.remap(image, position, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


def look_up_planes(planes: Field, position: Field) -> Field:
    """The same of planes (C, H, W), linearly."""
    return np.stack([look_up(plane, position, cv2.INTER_LINEAR) for plane in planes])


def flow_height(height: int, native: int) -> int:
    """At which labels are carried along for frames of a height, of a video of a native height."""
    return max(height, min(FLOW_HEIGHT, native))
