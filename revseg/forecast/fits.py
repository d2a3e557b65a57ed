"""Whether a run fits this machine, told before anything large is read: else a sentence with the settings that help."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from revseg.config import TrainConfig
from revseg.device import free_memory, held_memory
from revseg.forecast.memory import RunForecast, forecast_run
from revseg.forecast.outline import Outline
from revseg.network.config import NetworkConfig
from revseg.network.fit import arrangements, fewer_frames, lower_height, more_processes, shard_counts, shorter_window
from revseg.network.memory import slab_budget
from revseg.network.plan import padded_size

Fits = Callable[[TrainConfig, Outline], bool]

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

    def fits(changed: TrainConfig, changed_outline: Outline) -> bool:
        needed = _needed(smallest(changed, changed_outline, device, held=held))
        return all(needed[name] <= limit for name, limit in limits.items())

    least = smallest(config, outline, device, held=held)
    needed = _needed(least)
    for name, limit in limits.items():
        if needed[name] > limit:
            what = f"{needed[name] / 1e9:.2f} GB of {name}{f' while {least.phase}' if name == 'memory' else ''}"
            raise ValueError(_sentence(config, outline, what, limit=limit, fits=fits))
    return least


def _needed(found: RunForecast) -> dict[str, int]:
    return {"memory": found.peak, "the GPU's memory": found.device_peak}


def smallest(config: TrainConfig, outline: Outline, device: torch.device, *, held: int) -> RunForecast:
    """Returns the forecast with the smallest arrangement of the network that a training may take by itself."""
    return forecast_here(config, outline, smallest_network(config, outline, device.type), device=device, held=held)


def forecast_here(
    config: TrainConfig, outline: Outline, network: NetworkConfig, *, device: torch.device, held: int
) -> RunForecast:
    """Forecasts a run as this process would do it."""
    return forecast_run(config, outline, network, device=device.type, held=held, threads=torch.get_num_threads())


def smallest_network(config: TrainConfig, outline: Outline, device: str) -> NetworkConfig:
    """Returns the smallest arrangement of the network that a training may take by itself. device: its type."""
    network = outline.network(config)
    smaller = arrangements(network, slab_budget(network, outline.seen_size(config.data), device))[-1]
    return replace(smaller, keep_hidden=False)


def _sentence(config: TrainConfig, outline: Outline, what: str, *, limit: int, fits: Fits) -> str:
    """Says what does not fit, and which settings help."""
    frames, native = outline.footage.frames, outline.footage.native_size
    remedies = list(_remedies(config, outline, fits))
    if not remedies:
        remedies = ["evidence=none"] if config.evidence.source != "none" else ["fewer network.channels"]
    return (
        f"{frames} frames of {native[1]} x {native[0]} need {what}, in the smallest arrangement, but {limit / 1e9:.2f} GB may be "
        f"used; set {', or '.join(remedies)}"
    )


def _remedies(config: TrainConfig, outline: Outline, fits: Fits) -> Iterator[str]:
    """Yields the settings that help, and what each costs: that which costs most comes last."""

    def with_data(**changes: int) -> TrainConfig:
        return replace(config, data=replace(config.data, **changes))  # type: ignore[arg-type]

    frames, height = outline.network_size(config.data)[:2]
    if lower := most(lambda lines: fits(with_data(height=lines), outline), height):
        yield lower_height(lower)
    if fewer := most(lambda count: fits(config, outline.with_frames(count)), frames):
        yield fewer_frames(fewer)
    padded = padded_size(outline.network(config), outline.seen_size(config.data))
    for parts in shard_counts(outline.network(config), padded[0]):
        if fits(replace(config, parallel=replace(config.parallel, volume=parts)), outline):
            yield more_processes(parts)
            break
    if window := most(lambda count: fits(with_data(window=count), outline), outline.seen_size(config.data)[0]):
        yield shorter_window(window)


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
