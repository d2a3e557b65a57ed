"""Which of the processes that a launcher started this one is: torchrun and Slurm say it in the environment. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets, and whoever starts processes in its way; without LOCAL_RANK they are taken to be on one machine."""

SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
"""What srun sets. A batch script has all of them but the list of its step's nodes: it is one process, however many tasks it asks
for."""

PORTS = range(61440, 65536)
"""Where a Slurm step meets unless MASTER_PORT says it: jobs at the same time get different ones."""


@dataclass(frozen=True)
class Place:
    """The place of a process among those that train together."""

    rank: int
    world: int
    """How many there are."""
    local_rank: int
    """Its number among those of its machine."""
    address: str
    port: int
    """Where rank 0 is to be found."""
    hosted: bool = False
    """Whether the launcher itself keeps the store that they meet in."""
    attempt: str = ""
    """Tells a start of the same processes from those before it."""


def place_of(environment: Mapping[str, str]) -> Place | None:
    """Returns the place of a process with such an environment; None for a process alone.

    Raises ValueError in one sentence where the launcher's variables contradict each other.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        found = _of_torchrun(environment)
    elif all(name in environment for name in SLURM):
        found = _of_slurm(environment)
    else:
        return None
    if not 0 <= found.rank < found.world:
        raise ValueError(f"this process is rank {found.rank} of {found.world}: ranks are 0 to {found.world - 1}")
    return None if found.world == 1 else found


def _of_torchrun(environment: Mapping[str, str]) -> Place:
    rank, world = (_number(environment, name) for name in ("RANK", "WORLD_SIZE"))
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name)] if world > 1 else []
    if missing:
        raise ValueError(f"RANK and WORLD_SIZE are set, but {' and '.join(missing)} not: start with torchrun, or set all of them")
    return Place(
        rank,
        world,
        local_rank=_number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else rank,
        address=environment.get("MASTER_ADDR", ""),
        port=_port(environment) if world > 1 else 0,
        hosted=environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        attempt=f"{environment.get('TORCHELASTIC_RUN_ID', '')}/{environment.get('TORCHELASTIC_RESTART_COUNT', '')}",
    )


def _of_slurm(environment: Mapping[str, str]) -> Place:
    rank, world, local_rank, job = (
        _number(environment, name) for name in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_ID")
    )
    step = environment.get("SLURM_STEP_ID", "0")
    chosen = PORTS[(job + (int(step) if step.isdigit() else 0)) % len(PORTS)]
    return Place(
        rank,
        world,
        local_rank=local_rank,
        address=environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"]),
        port=_port(environment) if environment.get("MASTER_PORT") else chosen,
        attempt=f"{job}/{step}/{environment.get('SLURM_RESTART_COUNT', '')}",
    )


def first_host(nodes: str) -> str:
    """Returns the first machine of a list of Slurm: node[007-009,012],gpu3 -> node007."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)
    assert first is not None
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0])


def _port(environment: Mapping[str, str]) -> int:
    port = _number(environment, "MASTER_PORT")
    if not 0 < port < 1 << 16:
        raise ValueError(f"MASTER_PORT is {port}: give a port from 1 to 65535")
    return port


def _number(environment: Mapping[str, str], name: str) -> int:
    if not environment[name].isdigit():
        raise ValueError(f"{name} is {environment[name]!r}: it is a whole number where a launcher sets it")
    return int(environment[name])
