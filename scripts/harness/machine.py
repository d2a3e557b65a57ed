"""On what something was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "triton", "numpy", "iunets", "memcnn", "monai")


def describe(device: torch.device) -> str:
    """Returns what a table calls the machine."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU (threads: {torch.get_num_threads()})"


def facts(device: str, threads: int) -> dict[str, Any]:
    """Returns everything that two comparable measurements must agree in."""
    return {
        "device": device,
        "threads": threads,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def lines(found: dict[str, Any]) -> str:
    """Returns two Markdown lines: machine, and versions."""
    versions = ", ".join(f"{name} {version or '(not installed)'}" for name, version in found["versions"].items())
    gpu = f"{found['gpu']}; " if found["gpu"] else ""
    threads = f"{found['threads']} threads of {found['cores']} cores"
    return (
        f"- machine: {gpu}{found['processor']}, {threads}, {found['system']}\n- versions: Python {found['python']}, {versions}\n"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Returns the name, and the instruction sets that matter for speed."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    text = cpuinfo.read_text(encoding="utf-8")
    name = re.search(r"model name\s*: (.*)", text)
    sets = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{flag}\b", text)]
    return f"{name.group(1) if name else platform.machine()} ({', '.join(sets)})"
