"""What the network is fed: items made ahead in the background, so that decoding overlaps with the step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from zlib import crc32

import numpy as np
import torch

from revseg import storage
from revseg.evidence.ahead import map_ahead, use_threads
from revseg.network.config import NetworkConfig
from revseg.network.memory import Size

Item = TypeVar("Item")


def made_ahead(make: Callable[[int], Item], numbers: Iterable[int], ahead: int, *, device: torch.device) -> Generator[Item]:
    """make(number) of each number, in order, `ahead` of them in the making. device: of whoever takes them."""
    # Beside a network on the CPU an item is made on one thread. With as many as cores, OpenMP counts more threads than cores, and
    # puts those of the network to sleep after each parallel loop: on 2 cores a step took 2.2 times as long.
    threads = 1 if device.type == "cpu" else torch.get_num_threads()
    with ThreadPoolExecutor(max(1, ahead), "feed", _begin, (threads, device)) as pool:
        try:
            yield from map_ahead(pool, make, numbers, ahead=max(1, ahead))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(threads: int, device: torch.device) -> None:
    """Prepares a thread that makes items."""
    use_threads(threads)
    if device.type == "cuda":  # beside the network's stream: each copy would wait for all that the network has queued
        torch.cuda.set_stream(torch.cuda.Stream(device))


def generator_for(purpose: str, seed: int, number: int) -> torch.Generator:
    """Random numbers that depend on nothing else: a resumed training repeats them."""
    sequence = np.random.SeedSequence((crc32(purpose.encode()), seed, number))
    return torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))


def shuffled_position(index: int, count: int, seed: int) -> int:
    """Number `index` of an endless row of epochs, each of which is 0 to count - 1 in another order."""
    epoch, position = divmod(index, count)
    return int(torch.randperm(count, generator=generator_for("order of videos", seed, epoch))[position])


def item_bytes(config: NetworkConfig, size: Size) -> int:
    """Bytes of an item's video, with its evidence."""
    return config.inputs * size[0] * size[1] * size[2]


def items_bytes(config: NetworkConfig, size: Size, ahead: int) -> int:
    """Bytes of memory of the items that are made ahead as a step works (``made_ahead``)."""
    return max(1, ahead) * storage.held(item_bytes(config, size))
