"""Makes a run fit into memory: chooses the fastest arrangement of the same network that does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, Size, forecast_training, largest, slab_budget
from revseg.network.plan import most_shards, padded_size


def fit_memory(
    config: NetworkConfig,
    size: Size,
    budget: int,
    *,
    device: str,
    labelled_frames: int | None = None,
    optimizer: str = "muon",
    shards: int = 1,
) -> tuple[NetworkConfig, Forecast]:
    """Returns the fastest arrangement whose forecast keeps to ``budget`` bytes, and the forecast.

    Arrangements: with hidden activations kept; as configured; float16 adjoints; int16 states and float16 adjoints; the last
    three also with smaller slabs. shards: processes that hold a volume together; the budget is that of one.
    Raises ValueError, with what to change, where none fits.
    """
    settings = {"device": device, "labelled_frames": labelled_frames, "optimizer": optimizer, "shards": shards}
    for candidate in arrangements(config, slab_budget(config, size, device)):
        forecast = forecast_training(candidate, size, **settings)  # type: ignore[arg-type]
        if forecast.total <= budget:
            return candidate, forecast
    remedies = ", or ".join(_remedies(candidate, size, budget, settings=settings))
    raise ValueError(
        f"training {size[0]} frames of {size[2]} x {size[1]} needs {forecast.total / 1e9:.2f} GB in its smallest arrangement, "
        f"{forecast.floor / 1e9:.2f} GB of them states and adjoints, but {max(0, budget) / 1e9:.2f} GB may be used "
        f"(training.memory_budget); {f'set {remedies}' if remedies else 'it takes more memory'}"
    )


def _remedies(smallest: NetworkConfig, size: Size, budget: int, *, settings: Mapping[str, object]) -> Iterator[str]:
    """Yields the settings that help, and what each costs."""
    forecast = forecast_training(smallest, size, **settings)  # type: ignore[arg-type]
    frames, height = (largest(smallest, size, memory=budget, axis=axis, **settings) for axis in (0, 1))
    if settings["device"] == "cuda" and forecast.total - forecast.input <= budget:
        yield "training.input=host (each step copies the video anew)"
    if smallest.arithmetic == "float":
        yield "network.arithmetic=exact (half the states, on a grid)"
    if height:
        yield lower_height(height)
    if frames:
        yield fewer_frames(frames)
    for parts in shard_counts(smallest, padded_size(smallest, size)[0]):
        if forecast_training(smallest, size, **{**settings, "shards": parts}).total <= budget:  # type: ignore[arg-type]
            yield more_processes(parts)
            break
    if smallest.channels > 1:
        yield f"fewer network.channels (now {smallest.channels}: a smaller network)"
    if frames:
        yield shorter_window(frames)


def lower_height(height: int) -> str:
    """Names the setting that lets the network see fewer lines."""
    return f"data.height={height} or less (the network sees fewer lines, masks keep the video's size)"


def fewer_frames(frames: int) -> str:
    """Names the setting that reads a part of the video."""
    return f"data.max_frames={frames} or less (a part of the video)"


def more_processes(parts: int) -> str:
    """Names the setting that shares out a volume."""
    return f"parallel.volume={parts} in as many processes, on a GPU or a machine each (each holds a part of the frames)"


def shorter_window(frames: int) -> str:
    """Names the setting that shows the network a part at a time."""
    return f"data.window={frames} or less (the last resort: the network sees so many frames at a time, not all at once)"


def shard_counts(config: NetworkConfig, padded: int) -> Iterator[int]:
    """Yields to how many processes a volume of ``padded`` frames may be shared out, the fewest first."""
    most = most_shards(config, padded)
    yield from (count for count in (2, 4, 8, 16, 32, 64) if count <= most)


def arrangements(config: NetworkConfig, slab: int) -> list[NetworkConfig]:
    """Returns the configuration and its smaller variants, fastest first, each once. None changes ``network.arithmetic``.

    slab: bytes of the configured slabs.
    """
    containers = [replace(config, keep_hidden=True), config]
    if config.arithmetic == "exact":
        containers.append(replace(config, adjoint_dtype="float16"))
        if config.state_dtype != "int16":
            containers.append(replace(config, adjoint_dtype="float16", state_dtype="int16", grid_bits=None))
    found: list[NetworkConfig] = []
    for container in containers:
        smaller = [] if container.keep_hidden and not config.keep_hidden else [replace(container, slab_bytes=slab // 4)]
        for candidate in (container, *smaller):
            if candidate not in found:
                found.append(candidate)
    return found
