"""Compiles the kernels for the CPU, and loads them.

Nothing else is asked of a machine than a C compiler, at the first use. What it makes is kept in ``~/.cache/revseg/kernels`` (in
$XDG_CACHE_HOME, if that is set), for the processor that it is made for. Without one PyTorch computes, and a warning says so.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from revseg.reversible.kernels import switch
from revseg.reversible.kernels.compiler import compiler

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
# Without contraction: a fused product and sum would round once, where PyTorch rounds twice. OpenMP's functions are those that
# PyTorch has loaded: with a library of our own there would be twice as many threads.
COMPILED = "-O3 -march=native -mprefer-vector-width=512 -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp -fPIC -c"
LINKED = "-shared"
SECONDS = 120
"""No compiler takes longer."""

KINDS = {torch.int16: 0, torch.float16: 1, torch.bfloat16: 2, torch.float32: 3}
"""Types that elements of a field may have, as convert.h numbers them."""

_COSTS = "PyTorch changes levels and adds forces on the CPU, so that a step takes about half as long again"


def takes(*fields: Tensor) -> bool:
    """Whether fields on the CPU, of such types, may be given to what is compiled."""
    return switch.on() and all(field.device.type == "cpu" and field.dtype in KINDS for field in fields) and library() is not None


def called(name: str, *values: object, found: ctypes.CDLL | None = None) -> float:
    """Calls a function with as many threads as PyTorch has; tensors as their addresses, integers as sizes."""
    found = found or library()
    assert found is not None
    given = (ctypes.c_void_p(value.data_ptr()) if isinstance(value, Tensor) else value for value in values)
    return float(getattr(found, name)(*given, torch.get_num_threads()) or 0)


def sizes(values: Iterable[int]) -> list[ctypes.c_long]:
    """Returns sizes as a function takes them."""
    return [ctypes.c_long(value) for value in values]


@cache
def library() -> ctypes.CDLL | None:
    """Returns what is compiled, in a second where it is not kept; None, with a warning, where that cannot be."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None  # written for its instructions
    try:
        found = _loaded()
        said = "there is no C compiler (gcc, clang, or CC); install gcc" if found is None else _differs(found)
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        said = (getattr(error, "stderr", None) or f"{type(error).__name__}: {error}").strip()
    if said:
        warnings.warn(f"{_COSTS}: {said}", stacklevel=3)
    return None if said else found


def _differs(found: ctypes.CDLL) -> str:
    """Returns how what it does with a small field differs from what PyTorch does, in a bit; nothing: it does not."""
    from revseg.reversible import haar
    from revseg.reversible.grid import Grid
    from revseg.reversible.kernels.native.fields import change_level_

    grid, axes, random = Grid(torch.int16, 8), (True, True, True), torch.Generator().manual_seed(0)
    for channels in (1, 3):  # the first in a way of its own
        fine = torch.randint(-9999, 9999, (2, 6, 70, channels), generator=random).to(torch.int16)
        coarse, expected = (fine.new_empty(haar.coarse_shape(fine.shape, axes)) for _ in range(2))
        change_level_(fine, coarse, fine=fine, axes=axes, exact=True, found=found)
        haar._coarsen_group_(fine.clone(), expected, axes=axes, grid=grid)
        if not torch.equal(coarse, expected):
            return "what was compiled rounds otherwise than PyTorch"
    return ""


def _loaded() -> ctypes.CDLL | None:
    """Compiles what is not kept, and loads it."""
    command = compiler()
    if command is None:
        return None
    key = hashlib.sha256("\0".join([*_texts(), COMPILED, LINKED, command, _instructions()]).encode())
    try:
        base = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(base) if base else Path.home() / ".cache") / "revseg" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f"{key.hexdigest()[:32]}.so"
        if kept.is_file():
            with suppress(OSError):  # a damaged one is made anew
                return _opened(kept)
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            _compile(command, Path(beside)).replace(kept)
            return _opened(kept)
    except (OSError, RuntimeError):  # a home that cannot be written, or none: compiled again next time
        with tempfile.TemporaryDirectory() as elsewhere:
            return _opened(_compile(command, Path(elsewhere)))


def _texts() -> list[str]:
    return [path.read_text("utf-8") for path in (*SOURCES, Path(__file__).with_name("convert.h"))]


def _compile(command: str, folder: Path) -> Path:
    made, library = [folder / f"{path.stem}.o" for path in SOURCES], folder / "native.so"
    for source, target in zip(SOURCES, made, strict=True):
        _run(command, *COMPILED.split(), str(source), "-o", str(target))
    _run(command, *LINKED.split(), *map(str, made), "-o", str(library))
    return library


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)


def _opened(path: Path) -> ctypes.CDLL:
    """Loads it at once as a whole: what is missing of OpenMP is said now."""
    found = ctypes.CDLL(str(path), mode=os.RTLD_NOW)
    found.kick_exact.restype = ctypes.c_double
    for name in ("haar", "kick_floating", "convert", "opening", "opening_gradient"):
        getattr(found, name).restype = None
    return found


def _instructions() -> str:
    """What the processor knows: a home may be shared by machines."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    return next((line for line in lines if line.startswith("flags")), platform.processor())
