"""What has been measured on one device, kept in a JSON file group by group: an interrupted run goes on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmark.group import Group

PACKAGES = ("torch", "triton", "numpy", "iunets", "memcnn", "monai")
Record = dict[str, Any]


class Results:
    """groups: name -> {"cases": [...], "repeats", "date", ...}; setting: what all of them share."""

    def __init__(self, path: Path, setting: Record) -> None:
        """setting: everything that two comparable measurements must agree in (see ``setting_of``)."""
        self.path, self.setting = path, setting
        self.groups: dict[str, Record] = {}
        self.commands: list[str] = []

    @classmethod
    def load(cls, path: Path) -> Results:
        stored = json.loads(path.read_text(encoding="utf-8"))
        results = cls(path, stored["setting"])
        results.groups, results.commands = stored["groups"], stored["commands"]
        return results

    @classmethod
    def resume(cls, path: Path, setting: Record) -> Results:
        """Go on with a file of the same setting."""
        if not path.exists():
            return cls(path, setting)
        results = cls.load(path)
        changed = [name for name in setting if results.setting.get(name) != setting[name]]
        if changed:
            raise ValueError(
                f"{path} was measured with another {', '.join(changed)} "
                f"({results.setting.get(changed[0])}, now {setting[changed[0]]}); "
                "add --fresh to measure everything again"
            )
        return results

    def has(self, group: Group) -> bool:
        """Whether exactly these cases have been measured as often."""
        kept = self.groups.get(group.name)
        if kept is None or kept.get("repeats") != group.repeats:
            return False
        wanted = [case.record() for case in group.cases]
        return wanted == [
            {key: record.get(key) for key in case} for record, case in zip(kept["cases"], wanted, strict=False)
        ] and len(wanted) == len(kept["cases"])

    def keep(self, name: str, measured: Record) -> None:
        self.groups[name] = measured | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
        self.save()

    def save(self) -> None:
        stored = {"setting": self.setting, "commands": self.commands, "groups": self.groups}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(self.path)

    def find(self, group: str, peer: str, depth: tuple[int, ...] | None = None) -> Record | None:
        """The record of a peer in a group, None where it is absent or failed."""
        for record in self.groups.get(group, {}).get("cases", []):
            if record["peer"] == peer and "error" not in record and depth in (None, tuple(record.get("depth", ()))):
                return record
        return None

    def starting(self, prefix: str) -> Iterator[tuple[str, Record]]:
        """(name, group) of the groups of a row."""
        return ((name, group) for name, group in self.groups.items() if name == prefix or name.startswith(f"{prefix}/"))


def setting_of(device: str, threads: int, quick: bool) -> Record:
    """Machine and versions."""
    return {
        "device": device,
        "quick": quick,
        "threads": threads,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Name, and the instruction sets that matter for speed."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    text = cpuinfo.read_text(encoding="utf-8")
    name = re.search(r"model name\s*: (.*)", text)
    sets = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{flag}\b", text)]
    return f"{name.group(1) if name else platform.machine()} ({', '.join(sets)})"
