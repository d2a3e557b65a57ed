"""The passes over a field on a CPU that are compiled (``native.c``): a change of level, and the kick of a leapfrog step.

PyTorch's operators go through memory once for each sum and each rounding, and change int16 to float32 and back. Here a row stays
in a core's nearest cache. On the grid the results are the same bits, so that a process may use either; nothing else is asked of a
machine than a C compiler, at the first use. What it makes is kept in ``~/.cache/revseg/kernels`` (or in $XDG_CACHE_HOME), for the
processor that it is made for. Without one PyTorch computes, and a warning says so.
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
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from revseg.reversible.kernels import switch
from revseg.reversible.kernels.compiler import compiler

SOURCE = Path(__file__).with_name("native.c")
# Without contraction: a fused product and sum would round once, where PyTorch rounds twice. OpenMP's functions are those that
# PyTorch has loaded: with a library of our own there would be twice as many threads.
COMPILED = "-O3 -march=native -mprefer-vector-width=512 -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp -fPIC -c"
LINKED = "-shared"
SECONDS = 120
"""No compiler takes longer."""

KINDS = {torch.int16: 0, torch.float16: 1, torch.bfloat16: 2, torch.float32: 3}
GROUP_BYTES = 1 << 20
"""Bytes of the frames whose level is changed at a time: they and their copy stay in the caches."""

_COSTS = "PyTorch changes levels and adds forces on the CPU, so that a step takes about half as long again"

Axes = tuple[bool, bool, bool]


def changes_levels(field: Tensor) -> bool:
    """Whether the level of a state or an adjoint is changed here."""
    return _takes(field) and library() is not None


def kicks(partner: Tensor, curr: Tensor, force: Tensor, *, exact: bool) -> bool:
    """Whether these are kicked here: an exact state in int16, or what is floating; its frames each in one piece."""
    alike = partner.stride() == curr.stride() and len(partner) > 0 and partner[0].is_contiguous()
    taken = force.dtype != torch.int16 and (partner.dtype == torch.int16) == exact
    return taken and alike and _takes(partner, curr, force) and library() is not None


def _takes(*fields: Tensor) -> bool:
    return switch.on() and all(field.device.type == "cpu" and field.dtype in KINDS for field in fields)


def change_level_(
    source: Tensor, target: Tensor, *, fine: Tensor, axes: Axes, exact: bool, found: ctypes.CDLL | None = None
) -> None:
    """Coarsens frames (T, H, W, C) or refines them, into the same memory; ``fine`` is one of both. found: the library."""
    back = fine is target
    copied = source.clone()
    places = (target, copied) if back else (copied, target)
    frames, height, width = (size // (2 if halved else 1) for size, halved in zip(fine.shape[:3], axes, strict=True))
    sizes = frames, height, width, fine.shape[3]
    halved = (2 if one else 1 for one in axes)
    kind = KINDS[fine.dtype]
    _called("haar", *map(_pointer, places), *map(ctypes.c_long, sizes), *halved, kind, int(exact), int(back), found=found)


def kick_(partner: Tensor, curr: Tensor, force: Tensor, *, sign: int, exact: bool) -> Tensor | None:
    """``Grid.kick_`` of fields (t, h, W, C), which may be parts of larger ones."""
    force = force.contiguous()
    parts, count, stride = len(partner), partner[0].numel(), partner.stride(0)
    where = [ctypes.c_long(size) for size in (parts, count, stride)]
    kind = KINDS[force.dtype]
    if exact:
        reached = _called("kick_exact", *map(_pointer, (partner, curr, force)), kind, *where)
        return torch.tensor(reached, dtype=torch.float64)
    _called("kick_floating", _pointer(partner), KINDS[partner.dtype], _pointer(force), kind, ctypes.c_float(sign), *where)
    return None


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _called(name: str, *values: object, found: ctypes.CDLL | None = None) -> float:
    found = found or library()
    assert found is not None
    return float(getattr(found, name)(*values, torch.get_num_threads()) or 0)


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
    key = hashlib.sha256("\0".join([SOURCE.read_text("utf-8"), COMPILED, LINKED, command, _instructions()]).encode())
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


def _compile(command: str, folder: Path) -> Path:
    made, library = folder / "native.o", folder / "native.so"
    for arguments in ([*COMPILED.split(), str(SOURCE), "-o", str(made)], [*LINKED.split(), str(made), "-o", str(library)]):
        subprocess.run([command, *arguments], check=True, capture_output=True, text=True, timeout=SECONDS)
    return library


def _opened(path: Path) -> ctypes.CDLL:
    """Loads it at once as a whole: what is missing of OpenMP is said now."""
    found = ctypes.CDLL(str(path), mode=os.RTLD_NOW)
    found.kick_exact.restype = ctypes.c_double
    found.haar.restype = found.kick_floating.restype = None
    return found


def _instructions() -> str:
    """What the processor knows: a home may be shared by machines."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    return next((line for line in lines if line.startswith("flags")), platform.processor())
