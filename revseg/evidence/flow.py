"""Dense optical flow between the frames of a video, and how far it can be trusted: DIS (Kroeger et al., arXiv:1603.03590).

    agreement(p) = exp(-|fro(to(p)) - p| / reach - |difference of colour| / contrast)

to: where in the other frame a pixel p is found; fro: the same from the other frame back. What was covered, left the frame or
moved too fast ends elsewhere on the way there and back again, or looks different.

Between neighbouring frames flow is found at full resolution: objects' edges depend on it. Between frames two apart it is composed
of that, and no worse than what would be found. Between frames further apart it is found at half the resolution, in a quarter of
the time: the error of the way is larger than what the rest would mend.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import groupby
from typing import TypeVar

import cv2
import torch
from torch import Tensor

from revseg import storage
from revseg.device import free_memory
from revseg.evidence.ahead import map_ahead, use_threads
from revseg.evidence.cache import digest
from revseg.evidence.config import FlowConfig
from revseg.evidence.fields import WHOLE, Displacement, Field, Fields, Pair, Part, Way
from revseg.evidence.native.fields import CompiledFields
from revseg.evidence.native.library import compiled
from revseg.evidence.opencv import OpenCVFields
from revseg.evidence.store import FlowRecords, FlowStore, HeldRecords
from revseg.evidence.tensors import TensorFields
from revseg.runs.phases import phase

Found = TypeVar("Found")

VERSION = 3
"""Version of the flow; another one whenever this package finds another flow for the same settings."""

# DIS takes no frames of fewer pixels on a side; and of how many least heights the longer side of enlarged frames is at most.
LEAST_SIDE, LONGEST = 12, 8

# What a thread at work on a frame takes of each pixel, at most (its fields and the buffers of DIS), and what all of them together
# may, of the memory that is free.
WORKING_BYTES, WORKING_SHARE = 200, 1 / 4

# What planes of all frames may take of the memory that is free on a GPU; else they stay on the host.
SHARE_OF_PLANES = 1 / 8

# Threads that keep a GPU at work, which needs none of them for the fields themselves.
THREADS_OF_GPU = 4


class Flow:
    """Optical flow between any two frames of a video (C, T, H, W) uint8 on the CPU; from several threads at a time.

    Nothing is computed, and no file opened, before it is asked for. store: for what is needed again, and the device that it is
    for. threads: on how many frames ``pool`` works at a time, of large frames fewer; None: as many as PyTorch has threads.
    """

    def __init__(self, volume: Tensor, config: FlowConfig, *, store: FlowStore, threads: int | None = None) -> None:
        self.frames, height, width = volume.shape[1:]
        self.size = width, height
        self.config, self.store = config, store
        self.factor = enlargement(height, width, config.least_height)
        self._volume, self._wanted = volume, threads
        self._lock = threading.RLock()
        self._opened: FlowRecords | HeldRecords | None = None
        self._pool: ThreadPoolExecutor | None = None

    @cached_property
    def on_tensors(self) -> bool:
        """Whether PyTorch computes it: the GPU's, or where it is asked for."""
        method = self.config.method
        return method == "torch" or (method == "auto" and self.store.device.type == "cuda" and not self.config.refinement)

    @cached_property
    def device(self) -> torch.device:
        """Where fields are."""
        return self.store.device if self.on_tensors else torch.device("cpu")

    @cached_property
    def fields(self) -> Fields:
        """What is computed of the frames."""
        if self.on_tensors:
            return TensorFields(self._volume, self.config, factor=self.factor, device=self.device)
        by_c = self.config.by_c and min(self.size) > 1 and compiled()
        return (CompiledFields if by_c else OpenCVFields)(self._volume, self.config, factor=self.factor)

    @cached_property
    def key(self) -> str:
        """Key of all displacements: of the video's content and the settings they depend on."""
        config = self.config
        settings = config.least_height, config.preset, config.finest_scale, config.far_finest_scale, config.refinement
        return digest("flow", VERSION, self.fields.made_by, self._volume, settings)

    @cached_property
    def agreement_key(self) -> str:
        """Key of all displacements and agreements."""
        config = self.config
        return digest(self.key, config.reach, config.contrast, config.blur, config.least)

    def planes(self, count: int, frames: int | None = None, dtype: torch.dtype = torch.uint8) -> Tensor:
        """Returns so many planes of so many frames (None: all), (count, T, H, W), all 0: where fields are, or on disk."""
        width, height = self.size
        shape = count, self.frames if frames is None else frames, height, width
        if self.device.type == "cpu" or math.prod(shape) * dtype.itemsize > SHARE_OF_PLANES * free_memory(self.device):
            return storage.zeros(*shape, dtype=dtype)
        return torch.zeros(shape, dtype=dtype, device=self.device)

    @property
    def identity(self) -> Field:
        """(2, H, W): where each pixel is, x and y."""
        return self.fields.identity

    @cached_property
    def threads(self) -> int:
        """On how many frames ``pool`` works at a time."""
        pixels = self.size[0] * self.size[1] * self.factor**2
        fitting = WORKING_SHARE * free_memory(torch.device("cpu")) / (WORKING_BYTES * pixels)
        wanted = self._wanted or torch.get_num_threads()
        if self.on_tensors:  # with more, each of a CPU's would wake as many of PyTorch's own
            wanted = min(wanted, THREADS_OF_GPU) if self.device.type == "cuda" else 1
        return max(1, min(int(fitting), wanted))

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Its threads; OpenCV lets go of Python's lock."""
        with self._lock:
            if self._pool is None:
                # Every call of OpenCV would wake as many threads of its own as there are cores, of the whole process's: with 16
                # of both on 2 cores, a smoothing switched threads two million times and took 1.7 times as long. Those of PyTorch
                # stay as long as the pool does: OpenMP then counts more threads than cores, and puts all to sleep after each
                # parallel loop, those of a training that follows too, whose steps took 2.5 times as long.
                own = max(1, torch.get_num_threads() // self.threads)
                cv2.setNumThreads(own)
                self._pool = ThreadPoolExecutor(self.threads, "flow", use_threads, (own,))
            return self._pool

    def each(self, of: Callable[[int], Found], frames: Sequence[int]) -> Iterator[tuple[int, Found]]:
        """Yields frames, and what is computed of each: several at a time, in the pool."""
        yield from zip(frames, map_ahead(self.pool, of, frames, ahead=self.threads), strict=True)

    @property
    def _records(self) -> FlowRecords | HeldRecords:
        with self._lock:
            if self._opened is None:
                width, height = self.size
                if self.on_tensors:
                    self._opened = HeldRecords(self.device, height, width)
                else:
                    self._opened = self.store.open(self.key if self.store.keeps else "", height, width)
            return self._opened

    def keep_near(self, hops: Iterable[int], frames: range | None = None) -> None:
        """Computes all flow from frames (None: all) to those so far apart, several at a time, as far as there is room for it."""
        signed = sorted({sign * hop for hop in hops for sign in (-1, 1)})
        own = range(self.frames) if frames is None else frames
        self.keep((frame, frame + hop) for frame in own for hop in signed if 0 <= frame + hop < self.frames)

    def read_others(self) -> None:
        """Takes over what other processes have kept in the store's folder."""
        if isinstance(self._records, FlowRecords):
            self.store.read_others(self._records, self.key)

    def keep(self, pairs: Iterable[Pair]) -> None:
        """The same of pairs of frames."""
        missing = [pair for pair in dict.fromkeys(pairs) if pair not in self._records]
        missing = sorted(missing, key=_is_composed)[: self._records.room]
        if missing:
            with phase("optical flow", total=len(missing), unit="flow") as bar:
                found = self._batches([pair for pair in missing if not _is_composed(pair)])
                for count in map_ahead(self.pool, self._keep, found, ahead=2 * self.threads):
                    bar.advance(count)
                composed = filter(_is_composed, missing)
                for _ in map_ahead(self.pool, lambda pair: self.displacement(*pair), composed, ahead=2 * self.threads):
                    bar.advance(1)

    def _batches(self, pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
        """Pairs of the same finest scale, as many as are best found at a time."""
        for _, some in groupby(sorted(pairs, key=self._finest_scale), key=self._finest_scale):
            alike = list(some)
            yield from (alike[start : start + self.fields.batch] for start in range(0, len(alike), self.fields.batch))

    def _keep(self, pairs: Sequence[Pair]) -> int:
        for pair, found in zip(pairs, self._find(pairs), strict=True):
            self._records.put(pair, found)
        return len(pairs)

    def _finest_scale(self, pair: Pair) -> int:
        return self.config.finest_scale if abs(pair[0] - pair[1]) == 1 else self.config.far_finest_scale

    def _find(self, pairs: Sequence[Pair]) -> Sequence[Displacement]:
        """Returns the flow of pairs of the same finest scale."""
        return self.fields.find(pairs, self._finest_scale(pairs[0]))

    def position(self, frame: int, other: int) -> Field:
        """(2, H, W): where in `other` each pixel (x, y) of `frame` is found."""
        return self.fields.moved(self.displacement(frame, other))

    def way(self, frame: int, other: int, *, again: bool = True) -> Way:
        """The same as a way. again: it will be needed again."""
        return self.fields.way(self.displacement(frame, other, again=again))

    def displacement(self, frame: int, other: int, *, again: bool = True) -> Displacement:
        """The same as it is held in memory: (2, H, W), in 1 / SUBPIXEL of a pixel, from where it is in ``frame``."""
        if (kept := self._records.get((frame, other))) is not None:
            return kept
        if _is_composed((frame, other)):
            between = (frame + other) // 2
            found = self.fields.displacement(self.fields.composed(self.way(frame, between), self.way(between, other)))
        else:
            (found,) = self._find([(frame, other)])
        if again or self.store.keeps:
            self._records.put((frame, other), found)
        return found

    def keeps(self, frame: int, other: int) -> bool:
        """Whether ``displacement`` need not compute it."""
        return (frame, other) in self._records

    def agreement(self, frame: int, other: int, *, to: Way, fro: Way, part: Part = WHOLE) -> Field:
        """(h, w) of a part of a frame, 0 to 1. to: from it to the other; fro: back."""
        return self.fields.agreement((frame, other), to=to, fro=fro, part=part)


def _is_composed(pair: Pair) -> bool:
    """Whether the flow between two frames is composed of that to and from the one between."""
    return abs(pair[0] - pair[1]) == 2


def enlargement(height: int, width: int, least_height: int) -> int:
    """By how much frames are enlarged for the flow: to the least height; narrow and flat ones less, which would become huge."""
    widest = LONGEST * least_height // max(height, width)
    return max(1, math.ceil(LEAST_SIDE / min(height, width)), min(math.ceil(least_height / height), widest))


def flow_height(height: int, native: int, config: FlowConfig) -> int:
    """Returns the lines at which labels are carried along for frames of a height, of a video of a native height."""
    return max(height, min(config.height, native))
