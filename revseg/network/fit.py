"""Makes a run fit into memory: chooses the fastest arrangement of the same network that does."""

from __future__ import annotations

from dataclasses import replace

from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, Size, forecast_training, largest, slab_budget


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
    frames, height = (largest(candidate, size, memory=budget, axis=axis, **settings) for axis in (0, 1))
    raise ValueError(
        f"training {size[0]} frames of {size[2]} x {size[1]} needs {forecast.total / 1e9:.2f} GB in its smallest arrangement, "
        f"but {budget / 1e9:.2f} GB may be used (training.memory_budget); set data.height={height} or less, "
        f"data.max_frames={frames} or less, or fewer network.channels (now {config.channels})"
    )


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
