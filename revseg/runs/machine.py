"""What this machine is, for what is measured once on it and kept for later runs."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """Returns the lines of /proc/cpuinfo that name the first processor and its instructions; elsewhere what Python knows."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return f"{platform.machine()} {platform.processor()}"
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.split("\t")[0] in ("model name", "model", "stepping", "flags", "Features"))


def cache_folder(purpose: str) -> Path:
    """Returns the folder of what is kept for a purpose between runs: ``~/.cache/revseg/<purpose>``, or in $XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "revseg" / purpose
