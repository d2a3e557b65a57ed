"""What all processes of a group have to have in common, and what each needs for itself."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch

from revseg.device import choose_device
from revseg.parallel.group import Group

PACKAGE = Path(__file__).parents[1]


def check_alike(group: Group, settings: Any, *, free: frozenset[str]) -> None:
    """Raises ValueError in one sentence, in all processes, where they have other code or settings than rank 0.

    settings: a dataclass. free: those that may differ.
    """
    if group.alone:
        return
    own = {name: value for name, value in leaves(settings).items() if name not in free} | code()
    first, *others = group.gathered(own)
    for rank, found in enumerate(others, 1):
        different = [name for name in first | found if first.get(name) != found.get(name)]
        if different:
            told = ", ".join(f"{name}={found.get(name)} (rank 0: {first.get(name)})" for name in different[:3])
            raise ValueError(f"rank {rank} was started with {told}: start all ranks with the same code and the same settings")


def code() -> dict[str, str]:
    """Returns what tells one version of the program from another: digests of its files, and PyTorch."""
    total = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        total.update(f"{file.relative_to(PACKAGE)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return {"the code of revseg": total.hexdigest()[:12], "torch": torch.__version__}


def leaves(settings: Any, prefix: str = "") -> Mapping[str, str]:
    """Returns the settings of nested dataclasses as text by their names: training.steps -> 60."""
    found: dict[str, str] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        if is_dataclass(value):
            found |= leaves(value, f"{prefix}{each.name}.")
        else:
            found[prefix + each.name] = str(value)
    return found


def device_of(name: str, group: Group) -> torch.device:
    """Returns the device of this process; in a group, with GPUs, one of its own. Raises ValueError where it has none."""
    if group.alone:
        return choose_device(name)
    assert group.place is not None
    seen = torch.cuda.device_count()
    own = choose_device(own_device(name, group.place.local_rank, seen))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    identity = None if own.type == "cpu" else str(torch.cuda.get_device_properties(own).uuid)
    everybody = group.gathered((socket.gethostname(), identity))
    if len({gpu is None for _, gpu in everybody}) > 1:
        raise ValueError("some ranks have a GPU and others have none: start all on machines with GPUs, or all with device=cpu")
    for rank, place in enumerate(everybody):
        if identity is not None and (before := everybody.index(place)) != rank:
            raise ValueError(
                f"ranks {before} and {rank} have the same GPU of {place[0]}: start no more processes there than it has GPUs, or "
                "all with device=cpu"
            )
    return own


def own_device(name: str, local_rank: int, seen: int) -> str:
    """Returns the name of the device of a process among those of its machine, of which it sees so many GPUs.

    A launcher may show each process all GPUs of its machine, or its own alone. Raises ValueError where there is none for it.
    """
    if name == "cpu" or name == "auto" and not seen:
        return "cpu"
    if name not in ("auto", "cuda"):
        raise ValueError(f"device is {name}, but each of the processes takes a GPU of its own; leave it at auto, or choose cpu")
    if seen > 1 and local_rank >= seen or not seen:
        host = socket.gethostname()
        raise ValueError(
            f"process {local_rank} of {host} has no GPU, of which there are {seen}: start no more processes there than it has "
            "GPUs, or all with device=cpu"
        )
    return f"cuda:{local_rank if seen > 1 else 0}"
