"""The state of a training on disk. The only file that names its keys.

Written so that at every moment, power cuts included, the name holds a whole checkpoint: temporary file,
fsync, rename, fsync of the folder. Loaded with `weights_only=True`: a checkpoint from elsewhere cannot run
code.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from revseg.network.config import NetworkConfig
from revseg.network.network import RevSegNet
from revseg.runs.atomic import replacing

FORMAT, VERSION = "revseg checkpoint", 4


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on, and all that a prediction needs.

    No state of a random generator: every random number of a training is a function of (seed, step).
    """

    network: NetworkConfig
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    step: int
    seconds: float
    """Time spent on training so far."""
    height: int | None
    """Height of the frames that were trained on; None: that of the video."""
    label_count: int | None = None
    """How many labelled frames of the one video that was trained on; None: many videos were."""
    end: int | None = None
    """The last step, where the training is ended early."""
    inverted: int = 0
    """Steps whose backward pass came back to the opening bit for bit."""
    losses: list[float] = field(default_factory=list)
    """Losses of the last steps, as far as early stopping looks at them."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Settings of the run that a prediction uses too, unless it is told otherwise: leaf key -> value."""


def save(checkpoint: Checkpoint, path: Path) -> None:
    content = {
        "format": FORMAT,
        "version": VERSION,
        **vars(checkpoint),
        "network": _plain(checkpoint.network),
    }
    # Not straight to the file: torch reports a full disk as an error of its archive, not as OSError.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    _sync_folder(path.parent)


def load(path: Path) -> Checkpoint:
    """Raises ValueError where the file is none of ours, OSError where it cannot be read."""
    content = _read(path)
    if content["version"] != VERSION:
        raise ValueError(
            f"{path} is a checkpoint of version {content['version']}, this revseg reads version {VERSION}; "
            "use the revseg that wrote it"
        )
    fields = {key: value for key, value in content.items() if key not in ("format", "version", "network")}
    return Checkpoint(network=NetworkConfig(**content["network"]), **fields)


def network_from(checkpoint: Checkpoint, device: torch.device) -> RevSegNet:
    """The trained network, ready to predict."""
    net = RevSegNet(**asdict(checkpoint.network))
    net.load_state_dict(checkpoint.weights)
    return net.to(device).eval()


def check_same_architecture(checkpoint: Checkpoint, network: NetworkConfig, path: Path) -> None:
    """Containers and precision may change between runs; what decides the weights' shapes may not."""
    free = {"arithmetic", "convolution_dtype", "state_dtype", "adjoint_dtype", "grid_bits"}
    saved, asked = _plain(checkpoint.network), _plain(network)
    differences = [
        f"network.{key}={asked[key]} (there {saved[key]})" for key in asked if key not in free and asked[key] != saved[key]
    ]
    if differences:
        raise ValueError(
            f"{path} holds another architecture than asked for: {', '.join(differences)}; "
            "use its settings, or start anew with another run_dir"
        )


def _read(path: Path) -> dict[str, Any]:
    unusable = f"{path} is not a revseg checkpoint, or it is truncated; give one that revseg-train wrote"
    with path.open("rb") as file:
        # Anything but a whole zip archive would be read as a format of long ago, with any error there is.
        if not zipfile.is_zipfile(file):
            raise ValueError(unusable)
        file.seek(0)
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise ValueError(unusable) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(unusable)
    return content


def _plain(network: NetworkConfig) -> dict[str, Any]:
    """Depths and ranks spelt out per level: 2 and [2, 2, 2, 2] are the same network."""
    spelt = {"depth": network.depths, "rank": network.ranks, "coarsen_time": network.halves_time}
    # Checkpoints that name no channels of the video are of RGB.
    return asdict(network) | {key: list(value) for key, value in spelt.items()} | {"in_channels": network.video_channels}


def _sync_folder(folder: Path) -> None:
    """The rename itself is on disk only once the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
