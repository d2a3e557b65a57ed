"""revseg-plan: what a training will need, before it runs.

    revseg-plan video.mp4 [data.masks=labels] [data.height=480] [any other setting of revseg-train]

Prints the forecast of the memory of the whole process, phase by phase, of disk, time and the network's step, and the longest and
highest video that trains here and on common cards. It takes all that revseg-train takes and plans what that runs.
Earlier runs on this machine tell the time; before the first one nothing does.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from functools import cache

import torch

from revseg.cli.main import plan as main
from revseg.config import TrainConfig
from revseg.device import choose_device, free_memory, held_memory
from revseg.forecast.fits import HIGHEST, LONGEST, forecast_here, most, smallest, smallest_network
from revseg.forecast.memory import RunForecast
from revseg.forecast.outline import Outline, outline_of
from revseg.forecast.sharing import enough_shards
from revseg.forecast.times import REST, Times
from revseg.forecast.work import work_of
from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, forecast_training
from revseg.parallel.config import ParallelConfig
from revseg.training.budget import ARRANGEMENT, arrange

MOST_PROCESSES = 64
"""That parallel.volume=auto is planned for."""
MARGIN = 1.1
"""By how much a run may take more than its forecast (docs/results/forecast.md): what is named as the most trains even so."""
CARDS_GB = (8, 12, 16, 24, 48, 80, 140)
# What a GPU's driver, context and allocator take of a card, measured nowhere: a margin.
CARD_OVERHEAD = 1 << 30


def plan(config: TrainConfig, given: Collection[str] = ()) -> None:
    """Prints the forecasts for the video, the evidence and the network that revseg-train would take."""
    loaded = time.process_time()  # importing is most of it, and a training imports the same
    held = held_memory()  # before anything of the video is read, as a training begins
    device = choose_device(config.device)
    outline = outline_of(config, labels=True)
    assert outline is not None
    limit = held + free_memory(torch.device("cpu"))
    if config.parallel.volume == "auto":
        parts = enough_shards(config, outline, device, processes=1, of=MOST_PROCESSES)
        config = replace(config, parallel=ParallelConfig(parts))
    network = arranged(config, outline, device, held=held)
    found = forecast_here(config, outline, network, device=device, held=held)
    frames, height, width = outline.network_size(config.data)
    told = f"{device.type}{at_a_time(config, outline)}; {labels_of(outline)}{changes(config, outline, network)}"
    print(f"{frames} frames of {width} x {height}, {told}")
    print_memory(found, limit)
    print_step(found.network)
    if config.task == "one_video":
        print_times(Times.of(device), work_of(config, outline, network, step=found.network), loaded)
    print_largest(config, outline, device, held=held, limit=limit)


def arranged(config: TrainConfig, outline: Outline, device: torch.device, *, held: int) -> NetworkConfig:
    """Returns the network as a training arranges it, or as configured, with a sentence, where none fits."""
    asked = outline.network(config)
    stands = forecast_here(config, outline, asked, device=device, held=held)
    # What the process will have beside a step by then is not free any more.
    beside = 0 if device.type == "cuda" else stands.host["training"] - stands.network.total - held
    training = config.training
    if training.memory_budget is None:
        training = replace(training, memory_budget=max(0, free_memory(device) - beside) / 1e9)
    try:
        chosen, _ = arrange(
            asked,
            outline.seen_size(config.data),
            labelled_frames=outline.trained_frames(config),
            training=training,
            device=device,
            saved=None,
            shards=config.parallel.shards,
        )
    except ValueError as error:
        print(f"it does not fit: {error}\n")
        return asked
    return chosen


def at_a_time(config: TrainConfig, outline: Outline) -> str:
    """Says how many frames the network sees, and how many processes hold them, where these are not all and one."""
    seen, parts = outline.seen_size(config.data)[0], config.parallel.shards
    window = f", {seen} frames at a time (data.window)" if seen < outline.footage.frames else ""
    return window + (f", in {parts} processes (parallel.volume), of which this is one" if parts > 1 else "")


def labels_of(outline: Outline) -> str:
    """Says what the labels are, or what is taken for them."""
    count = len(outline.labelled_frames)
    told = f"{count} labelled frame{'' if count == 1 else 's'}, {outline.classes} classes"
    return f"{told} are assumed (data.masks tells)" if outline.assumed else told


def changes(config: TrainConfig, outline: Outline, network: NetworkConfig) -> str:
    """Says what of the network's arrangement differs from what is asked for."""
    asked = outline.network(config)
    names = [name for name in ARRANGEMENT if getattr(asked, name) != getattr(network, name)]
    return "".join(f", {name}={getattr(network, name)}" for name in names)


def print_memory(found: RunForecast, limit: int) -> None:
    """Prints a line for each phase, the peak, and the disk."""
    print(f"\n{'memory':24}{'process':>12}{'GPU':>12}")
    for phase, size in found.host.items():
        print(f"{phase:24}{gigabytes(size):>12}{gigabytes(found.device[phase]) if phase in found.device else '':>12}")
    print(f"{'peak':24}{gigabytes(found.peak):>12}{gigabytes(found.device_peak) if found.device else '':>12}")
    print(f"{'may be used':24}{gigabytes(limit):>12}")
    print(f"{'process that decodes':24}{gigabytes(found.decoder):>12}")
    print(f"\n{'disk':24}")
    for name, size in found.disk.items():
        print(f"{name:24}{gigabytes(size):>12}")


def print_step(step: Forecast) -> None:
    """Prints the parts of a step of the network."""
    print(f"\n{'step of the network':24}")
    for part in ("states", "adjoints", "hidden", "slab", "weights", "input", "total"):
        print(f"{part:24}{gigabytes(getattr(step, part)):>12}")
    print(f"{'total / floor':24}{step.total / step.floor:>12.2f}")
    print(f"{'convolutions':24}{step.operations / 1e12:>6.2f} TFLOP")


def print_times(times: Times, work: dict[str, float], loaded: float) -> None:
    """Prints the seconds of each phase, if earlier runs tell them. loaded: seconds that importing takes."""
    seconds = times.seconds(work)
    print(f"\n{'time':24}")
    if seconds is None:
        print("is known after a first run on this machine (revseg-train experiment=demo is a short one)")
        return
    seconds[REST] += loaded
    for phase, expected in (seconds | {"whole": sum(seconds.values())}).items():
        print(f"{phase:24}{expected:>10.1f} s")


def print_largest(config: TrainConfig, outline: Outline, device: torch.device, *, held: int, limit: int) -> None:
    """Prints the most frames at this size, and the most lines (data.height) of these frames, in the smallest arrangement.

    A training takes the fastest arrangement that fits (``revseg.network.fit``), so this is what trains at all.
    """
    print(f"\n{'memory':>14}{'most frames':>13}{'or data.height':>16}")
    memory = free_memory(device)

    def fits(count: int, height: int | None) -> bool:
        changed = replace(config, data=replace(config.data, height=height))
        found = smallest(changed, outline.with_frames(count), device, held=held)
        return MARGIN * found.peak <= limit and MARGIN * found.device_peak <= memory

    frames = most(lambda count: fits(count, config.data.height), LONGEST)
    height = most(lambda lines: fits(outline.footage.frames, lines), HIGHEST)
    print(f"{'here':>14}{number(frames, LONGEST):>13}{number(height, HIGHEST):>16}")

    @cache  # all cards are asked for the same first sizes
    def needed(count: int, height: int | None) -> int:
        longer = outline.with_frames(count)
        changed = replace(config, data=replace(config.data, height=height))
        network = smallest_network(changed, longer, "cuda")
        return forecast_training(network, longer.seen_size(changed.data), labelled_frames=longer.trained_frames(changed)).total

    for card in CARDS_GB:
        room = (card * 10**9 - CARD_OVERHEAD) / MARGIN
        frames = most(lambda count: needed(count, config.data.height) <= room, LONGEST)  # noqa: B023 (called at once)
        height = most(lambda lines: needed(outline.footage.frames, lines) <= room, HIGHEST)  # noqa: B023
        print(f"{f'{card} GB card':>14}{number(frames, LONGEST):>13}{number(height, HIGHEST):>16}")


def number(found: int, limit: int) -> str:
    """Writes a number; the most that was looked for, as more."""
    return f"> {found}" if found >= limit else str(found)


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.3f} GB"


if __name__ == "__main__":
    main()
