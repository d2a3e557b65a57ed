"""Whether a run fits this machine, told before anything large is read: else a sentence with the settings that help."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from revseg.config import TrainConfig
from revseg.device import free_memory, held_memory
from revseg.forecast.memory import RunForecast, forecast_run
from revseg.forecast.outline import Outline
from revseg.network.fit import arrangements
from revseg.network.memory import slab_budget

LONGEST, HIGHEST = 500_000, 4_320
"""Frames and lines that are looked for at most."""


def check_memory(config: TrainConfig, outline: Outline, device: torch.device, *, processes: int = 1) -> RunForecast:
    """Returns the forecast of the smallest arrangement. Raises ValueError where it takes more memory than there is.

    outline: by headers alone; what they do not say is taken for as little as it can be. processes: that share this machine.
    """
    held = held_memory()
    limits = {"memory": held + free_memory(torch.device("cpu")) // processes}
    if device.type == "cuda":
        limits["the GPU's memory"] = free_memory(device)

    def needs(frames: int, height: int | None) -> dict[str, int]:
        changed = replace(config, data=replace(config.data, height=height))
        found = smallest(changed, outline.with_frames(frames), device, held=held)
        return {"memory": found.peak, "the GPU's memory": found.device_peak}

    least = smallest(config, outline, device, held=held)
    needed = needs(outline.footage.frames, config.data.height)
    for name, limit in limits.items():
        if needed[name] > limit:
            fits = partial(_within, limits, needs)
            what = f"{needed[name] / 1e9:.2f} GB of {name}{f' while {least.phase}' if name == 'memory' else ''}"
            raise ValueError(_sentence(config, outline, what, limit=limit, fits=fits))
    return least


def _within(limits: dict[str, int], needs: Callable[[int, int | None], dict[str, int]], frames: int, height: int | None) -> bool:
    needed = needs(frames, height)
    return all(needed[name] <= limit for name, limit in limits.items())


def smallest(config: TrainConfig, outline: Outline, device: torch.device, *, held: int) -> RunForecast:
    """Returns the forecast with the smallest arrangement of the network that a training may take by itself."""
    network = outline.network(config)
    smaller = arrangements(network, slab_budget(network, outline.network_size(config.data), device.type))[-1]
    threads = torch.get_num_threads()
    return forecast_run(config, outline, replace(smaller, keep_hidden=False), device=device.type, held=held, threads=threads)


def _sentence(config: TrainConfig, outline: Outline, what: str, *, limit: int, fits: Callable[[int, int | None], bool]) -> str:
    """Says what does not fit, and which settings help."""
    frames, height = outline.footage.frames, outline.network_size(config.data)[1]
    fewer = most(lambda count: fits(count, config.data.height), frames)
    lower = most(lambda lines: fits(frames, lines), height)
    remedies = [f"data.height={lower} or less (the network sees fewer lines, masks keep the video's size)"] if lower else []
    remedies += [f"data.max_frames={fewer} or less (a part of the video)"] if fewer else []
    if not remedies:
        remedies = ["evidence=none"] if config.evidence.source != "none" else ["fewer network.channels"]
    native = outline.footage.native_size
    return (
        f"{frames} frames of {native[1]} x {native[0]} need {what}, in the smallest arrangement, but {limit / 1e9:.2f} GB may be "
        f"used; set {', or '.join(remedies)}"
    )


def most(fits: Callable[[int], bool], limit: int) -> int:
    """Returns the largest number up to a limit that fits, 0 if none does: what fits, all below it do too."""
    if fits(limit):
        return limit
    low, high = 0, 1
    while high < limit and fits(high):
        low, high = high, 2 * high
    high = min(high, limit)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def without_cache_on_a_small_disk(config: TrainConfig, forecast: RunForecast, folder: Path) -> TrainConfig:
    """Returns the settings without evidence.cache where its disk has no room for it, and says so. Raises OSError where there is
    none for the frames as they are worked on, masks, overlay and checkpoints either."""
    free = shutil.disk_usage(folder).free
    output = sum(size for name, size in forecast.disk.items() if name not in ("flow", "evidence"))
    if output > free:
        raise OSError(
            f"{folder} has {free / 1e9:.2f} GB of free disk, but frames, masks, overlay and checkpoints take about "
            f"{output / 1e9:.2f} GB: free some, choose another folder with run_dir=, or set data.max_frames="
        )
    needed = sum(forecast.disk.values())
    if not config.evidence.cache or needed <= free:
        return config
    logging.getLogger("revseg").warning(
        f"{folder} has {free / 1e9:.2f} GB of free disk, but with its evidence kept the run takes {needed / 1e9:.2f} GB: it is "
        "not kept for later runs (evidence.cache=false)"
    )
    return replace(config, evidence=replace(config.evidence, cache=False))
