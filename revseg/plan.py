"""revseg-plan: what a training and a prediction will need, before they run.

    revseg-plan video.mp4 [network=large] [data.height=480] [any other setting of revseg-train]

Prints the forecast of peak memory and work, and the longest and highest video that train on common cards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from revseg.cli.main import plan as main
from revseg.config import TrainConfig
from revseg.device import choose_device, free_memory
from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, Size, forecast_prediction, forecast_training, largest
from revseg.tasks.config import DataConfig
from revseg.tasks.source import open_split
from revseg.video.frame import resized
from revseg.video.read import iterate_frames, probe

CARDS_GB = (8, 12, 16, 24, 48, 80, 140)
# What a GPU's driver, context and allocator take of a card, measured nowhere: a margin.
CARD_OVERHEAD = 1 << 30


def plan(config: TrainConfig, given: Collection[str] = ()) -> None:
    """Prints the forecasts for the video and the network that revseg-train would take."""
    device = choose_device(config.device)
    size = size_of(config.data)
    asked = config.network.evidence
    sees_evidence = config.evidence.source != "none" if asked is None else asked
    channels = config.network.in_channels or probe(path_of(config.data), config.data.axes, decoder=config.data.decoder).channels
    network = replace(config.network, evidence=sees_evidence, in_channels=channels)
    small = replace(network, arithmetic="exact", state_dtype="int16", adjoint_dtype="bfloat16")
    print(f"{size[0]} frames of {size[2]} x {size[1]}, {device.type}")
    for name, arrangement in (("as configured", network), ("network.state_dtype=int16 network.adjoint_dtype=bfloat16", small)):
        settings: dict[str, Any] = {
            "device": device.type,
            "labelled_frames": config.data.labelled_frames,
            "optimizer": config.training.optimizer.name,
        }
        print(f"\n{name}")
        print_forecast(
            forecast_training(arrangement, size, **settings), forecast_prediction(arrangement, size, device=device.type)
        )
        print_cards(arrangement, size, free_memory(device), settings=settings)


def path_of(data: DataConfig) -> Path:
    """The video that a training with these settings would be on, the first of a split."""
    if data.video is not None:
        return Path(data.video)
    dataset = open_split(data, None if data.sequence else data.training_split)
    return dataset.frames / (data.sequence or dataset.names[0])


def size_of(data: DataConfig) -> Size:
    """(T, H, W) that the network would see; frames are counted by decoding."""
    path = path_of(data)
    found = probe(path, data.axes, decoder=data.decoder)
    frames = _counted(path, data) if found.frames is None else min(found.frames, data.max_frames or found.frames)
    return frames, *resized(found.native_size, data.height)


def _counted(path: Path, data: DataConfig) -> int:
    frames = 0
    for frames, _ in enumerate(iterate_frames(path, on_error=data.on_error, decoder=data.decoder), 1):
        if frames == data.max_frames:
            break
    return frames


def print_forecast(training: Forecast, prediction: Forecast) -> None:
    print(f"{'':24}{'training':>12}{'prediction':>12}")
    for part in ("states", "adjoints", "hidden", "slab", "weights", "input", "total"):
        print(f"{part:24}{gigabytes(getattr(training, part)):>12}{gigabytes(getattr(prediction, part)):>12}")
    print(f"{'total / floor':24}{training.total / training.floor:>12.2f}{prediction.total / prediction.floor:>12.2f}")
    print(f"{'convolutions':24}{training.operations / 1e12:>7.2f} TFLOP{prediction.operations / 1e12:>6.2f} TFLOP")


def print_cards(network: NetworkConfig, size: Size, free: int, settings: dict[str, Any]) -> None:
    """Largest T at this H x W, and largest H (W in proportion) at this T."""
    print(f"{'memory':>12}{'fits':>6}{'most frames':>13}{'or most height':>16}")
    for name, memory in (*((f"{gb} GB card", gb * 10**9 - CARD_OVERHEAD) for gb in CARDS_GB), ("free here", free)):
        fits = forecast_training(network, size, **settings).total <= memory
        frames, height = (largest(network, size, memory, axis=axis, **settings) for axis in (0, 1))
        print(f"{name:>12}{'yes' if fits else 'no':>6}{frames:>13}{height:>16}")


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.3f} GB"


if __name__ == "__main__":
    main()
