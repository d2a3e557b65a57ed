"""The state of a training on disk. The only file that names its keys.

Written so that at every moment, power cuts included, the name holds a whole checkpoint: temporary file,
fsync, rename, fsync of the folder. A checkpoint from elsewhere can run no code and allocate no more than its own size
(``archive``), and what is in it is checked (``content``).
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from revseg.network.config import NetworkConfig
from revseg.network.network import RevSegNet
from revseg.runs.atomic import replacing
from revseg.training.archive import Archive, Outline
from revseg.training.content import REMEDY, check_fields, check_weights, network_config
from revseg.training.progress import Round

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
    rounds: list[Round] = field(default_factory=list)
    """Those that were begun; the last one is under way, or was the last to end."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Settings of the run that a prediction uses too, unless it is told otherwise: leaf key -> value."""


def save(checkpoint: Checkpoint, path: Path) -> None:
    content = {
        "format": FORMAT,
        "version": VERSION,
        **vars(checkpoint),
        "network": _plain(checkpoint.network),
        "rounds": [asdict(each) for each in checkpoint.rounds],
    }
    # Not straight to the file: torch reports a full disk as an error of its archive, not as OSError.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint, of whoever. Raises ValueError where the file is none of ours, OSError where it cannot be read."""
    with Archive(path) as archive:
        content = archive.outline()
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"{path} is not a revseg checkpoint, or it is truncated; give one that revseg-train wrote")
        _check_version(content.get("version"), path)
        check_fields(content, fields(Checkpoint), path)
        network = network_config(content["network"], path)
        check_weights(content["weights"], network, path)
        known = {each.name for each in fields(Checkpoint)} - {"network", "rounds"}
        filled = {name: _filled(content[name], archive, name) for name in content if name in known}
        return Checkpoint(network, **filled, rounds=[Round(**each) for each in content.get("rounds", ())])


def _check_version(version: object, path: Path) -> None:
    if version == VERSION:
        return
    remedy = "update revseg" if type(version) is int and version > VERSION else "use the revseg that wrote it"
    raise ValueError(f"{path} is a checkpoint of version {str(version)[:20]}, this revseg reads version {VERSION}; {remedy}")


def _filled(content: Any, archive: Archive, name: str) -> Any:
    """Returns the content with its tensors read. Raises ValueError where one holds what is no number."""
    if isinstance(content, Outline):
        tensor = archive.tensor(content)
        if not tensor.isfinite().all():
            raise ValueError(f"{archive.path} is damaged: {name} holds values that are not finite; {REMEDY}")
        return tensor
    if isinstance(content, dict):
        return {key: _filled(each, archive, f"{name} {key}") for key, each in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(_filled(each, archive, name) for each in content)
    return content


def network_from(checkpoint: Checkpoint, device: torch.device) -> RevSegNet:
    """The trained network, ready to predict."""
    net = RevSegNet(**asdict(checkpoint.network))
    net.load_state_dict(checkpoint.weights)
    if (dtype := precision_of(checkpoint, device)) is not None:
        net.convolve_in_(dtype)
    return net.to(device).eval()


def precision_of(checkpoint: Checkpoint, device: torch.device) -> torch.dtype | None:
    """Returns the dtype of the convolutions in which it was trained on such a device; None where it was not."""
    names = checkpoint.recipe.get("convolutions")
    name = names.get(device.type) if isinstance(names, dict) else None
    return getattr(torch, name) if name in ("float32", "bfloat16") else None


def check_same_architecture(checkpoint: Checkpoint, network: NetworkConfig, path: Path, *, may_grow: bool = False) -> None:
    """Containers and precision may change between runs; what decides the weights' shapes may not, but for further classes."""
    free = {"arithmetic", "convolution_dtype", "state_dtype", "adjoint_dtype", "grid_bits"}
    if may_grow and network.outputs >= checkpoint.network.outputs:
        free.add("classes")
    saved, asked = _plain(checkpoint.network), _plain(network)
    differences = [
        f"network.{key}={asked[key]} (there {saved[key]})" for key in asked if key not in free and asked[key] != saved[key]
    ]
    if differences:
        raise ValueError(
            f"{path} holds another architecture than asked for: {', '.join(differences)}; "
            "use its settings, or start anew with another run_dir"
        )


def _plain(network: NetworkConfig) -> dict[str, Any]:
    """Depths and ranks spelt out per level: 2 and [2, 2, 2, 2] are the same network."""
    spelt = {"depth": network.depths, "rank": network.ranks, "coarsen_time": network.halves_time}
    # Checkpoints that name no channels of the video are of RGB.
    return asdict(network) | {key: list(value) for key, value in spelt.items()} | {"in_channels": network.video_channels}
