"""What a control group of Linux leaves: the limits of a container count, not the memory and the cores of the machine.

    version 2   memory.max, memory.current; cpu.max                at /sys/fs/cgroup/<path of the process> and above
    version 1   memory.limit_in_bytes, memory.usage_in_bytes       at /sys/fs/cgroup/memory/<path> and above
                cpu.cfs_quota_us, cpu.cfs_period_us                at /sys/fs/cgroup/cpu/<path> and above

Groups lie within groups, and each has a limit of its own: the tightest counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Version:
    """Names of one version's files."""

    limit: str
    usage: str
    files: tuple[str, str]
    """Entries of memory.stat: pages of files, which the kernel drops before it refuses anything."""
    mapped: str
    """Entry of those among them that a process has mapped, and counts as its own (``held_memory``)."""


VERSION_1 = Version(
    limit="memory.limit_in_bytes",
    usage="memory.usage_in_bytes",
    files=("total_inactive_file", "total_active_file"),
    mapped="total_mapped_file",
)
VERSION_2 = Version(limit="memory.max", usage="memory.current", files=("inactive_file", "active_file"), mapped="file_mapped")


def free_in_container(root: Path = Path("/")) -> int | None:
    """Returns the bytes that the groups of this process leave; None where none of them has a limit. root: where /proc and /sys
    lie."""
    left = [free for version, folder in groups("memory", root) if (free := _left(version, folder)) is not None]
    return min(left, default=None)


def cores_in_container(root: Path = Path("/")) -> float | None:
    """Returns how many cores' time the groups of this process may take; None where none of them has a limit.

    Who takes more, with more threads, all of which then stand still, has it in a fraction of each tenth of a second.
    """
    granted = [cores for version, folder in groups("cpu", root) if (cores := _cores(version, folder)) is not None]
    return min(granted, default=None)


def groups(controller: str, root: Path = Path("/")) -> Iterator[tuple[Version, Path]]:
    """Yields the groups of a controller, memory or cpu, that this process is in, version and folder, from its own one up."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            version, kind, option = VERSION_2, "cgroup2", None
        elif controller in controllers.split(","):
            version, kind, option = VERSION_1, "cgroup", controller
        else:
            continue
        for shown, mount in _mounts(root, kind, option):
            # What a container sees of the hierarchy may begin at its own group, while the path still counts from the real top.
            inner = Path(path.lstrip("/"))
            if shown != "/" and Path(path).is_relative_to(shown):
                inner = Path(path).relative_to(shown)
            folder = mount / inner
            if not folder.is_dir():
                folder = mount
            while folder.is_relative_to(mount):
                yield version, folder
                folder = folder.parent


def _mounts(root: Path, kind: str, option: str | None) -> Iterator[tuple[str, Path]]:
    """Yields (what of the hierarchy is mounted, where) for a kind of file system, with an option of it."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, system = before.split(), after.split()
        if len(fields) < 5 or len(system) < 3 or system[0] != kind:
            continue
        if option is None or option in system[2].split(","):
            yield fields[3], root / fields[4].lstrip("/")


def _left(version: Version, folder: Path) -> int | None:
    """Returns the bytes that a group leaves; None where it has no limit."""
    limit, usage = (_number(folder / name) for name in (version.limit, version.usage))
    # Version 1 says 2^63, rounded down to a page, where there is none.
    if limit is None or usage is None or limit >= 1 << 60:
        return None
    stat = dict(line.split()[:2] for line in _lines(folder / "memory.stat") if len(line.split()) == 2)
    files = sum(int(stat.get(name, 0)) for name in version.files)
    return max(0, limit - usage + max(0, files - int(stat.get(version.mapped, 0))))


def _cores(version: Version, folder: Path) -> float | None:
    """Returns how many cores' time a group may take; None where it has no limit."""
    if version is VERSION_2:
        quota, _, period = next(iter(_lines(folder / "cpu.max")), "").partition(" ")
    else:
        quota, period = (next(iter(_lines(folder / f"cpu.cfs_{what}_us")), "") for what in ("quota", "period"))
    # "max", or -1: no limit.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _number(path: Path) -> int | None:
    found = _lines(path)
    return int(found[0]) if found and found[0].isdigit() else None  # "max": no limit


def _lines(path: Path) -> list[str]:
    """Returns the lines of a file of the kernel; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
