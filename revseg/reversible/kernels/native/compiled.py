"""Compiles C files for this machine's processor, and loads them.

Nothing else is asked of a machine than a C compiler, at the first use. What it makes is kept in ``~/.cache/revseg/kernels`` (in
$XDG_CACHE_HOME, if that is set), for the processor that it is made for.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from revseg.reversible.kernels.compiler import compiler

SHARED = Path(__file__).parent
"""Folder of the headers that all may include."""

# OpenMP's functions are those that PyTorch has loaded: with a library of our own there would be twice as many threads.
COMPILED = "-O3 -march=native -mprefer-vector-width=512 -fno-math-errno -fno-trapping-math -fopenmp -fPIC -c"
LINKED = "-shared"
SECONDS = 120
"""No compiler takes longer."""


class Compiled:
    """What the C files of a folder are compiled to, at the first use.

    functions: their names; one that returns a number has the type of it, the others return nothing. contracted: names of the
    files in which a product and a sum may be rounded at once (FMA); in the others that would be other bits. costs: what it means
    to be without, which a warning says once with its reason. differs: says how what was compiled, which it may call, is wrong;
    nothing: it is not.
    """

    def __init__(
        self,
        folder: Path,
        functions: Mapping[str, type[ctypes.c_double] | None],
        *,
        costs: str,
        contracted: Collection[str] = (),
        differs: Callable[[], str],
    ) -> None:
        self.sources, self._headers = ([*sorted(folder.glob(f"*.{kind}"))] for kind in ("c", "h"))
        if folder != SHARED:
            self._headers += sorted(SHARED.glob("*.h"))
        self._functions, self._costs, self._differs = functions, costs, differs
        self._contracted = frozenset(contracted)
        self._lock = threading.RLock()
        self._tried = False
        self._found: ctypes.CDLL | None = None

    def library(self) -> ctypes.CDLL | None:
        """Returns it, in a second where it is not kept; None, with a warning, where it cannot be made."""
        with self._lock:
            if not self._tried:
                self._tried = True  # from here on this thread calls it, to see whether it is right; others wait
                if written_for_this_machine() and (reason := self._refused()):
                    self._found = None
                    warnings.warn(f"{self._costs}: {reason}", stacklevel=3)
            return self._found

    def _refused(self) -> str:
        """Compiles and loads it; returns why it may not be used, or an empty string."""
        try:
            self._found = self._loaded()
            return "there is no C compiler (gcc, clang, or CC); install gcc" if self._found is None else self._differs()
        except (OSError, subprocess.SubprocessError, AttributeError) as error:
            return (getattr(error, "stderr", None) or f"{type(error).__name__}: {error}").strip()

    def _loaded(self) -> ctypes.CDLL | None:
        """Compiles what is not kept, and loads it."""
        command = compiler()
        if command is None:
            return None
        texts = [path.read_text("utf-8") for path in (*self.sources, *self._headers)]
        flags = [flag for path in self.sources for flag in self._flags(path)]
        key = hashlib.sha256("\0".join([*texts, *flags, LINKED, command, _instructions()]).encode())
        try:
            base = os.environ.get("XDG_CACHE_HOME")
            folder = (Path(base) if base else Path.home() / ".cache") / "revseg" / "kernels"
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / f"{key.hexdigest()[:32]}.so"
            if kept.is_file():
                with suppress(OSError):  # a damaged one is made anew
                    return self._opened(kept)
            with tempfile.TemporaryDirectory(dir=folder) as beside:
                self._compile(command, Path(beside)).replace(kept)
                return self._opened(kept)
        except (OSError, RuntimeError):  # a home that cannot be written, or none: compiled again next time
            with tempfile.TemporaryDirectory() as elsewhere:
                return self._opened(self._compile(command, Path(elsewhere)))

    def _flags(self, path: Path) -> list[str]:
        return [*COMPILED.split(), f"-ffp-contract={'fast' if path.name in self._contracted else 'off'}"]

    def _compile(self, command: str, folder: Path) -> Path:
        made, library = [folder / f"{path.stem}.o" for path in self.sources], folder / "native.so"
        each = [
            (command, *self._flags(path), f"-I{SHARED}", str(path), "-o", str(to))
            for path, to in zip(self.sources, made, strict=True)
        ]
        with ThreadPoolExecutor(len(each)) as together:
            list(together.map(_run, each))
        _run((command, *LINKED.split(), *map(str, made), "-o", str(library)))
        return library

    def _opened(self, path: Path) -> ctypes.CDLL:
        """Loads it at once as a whole: what is missing of OpenMP is said now."""
        found = ctypes.CDLL(str(path), mode=os.RTLD_NOW)
        for name, returned in self._functions.items():
            getattr(found, name).restype = returned
        return found


def written_for_this_machine() -> bool:
    """Whether the C files are written for the instructions of this machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def address(tensor: Tensor) -> ctypes.c_void_p:
    """Returns the address of a tensor's elements."""
    return ctypes.c_void_p(tensor.data_ptr())


def sizes(values: Iterable[int]) -> list[ctypes.c_long]:
    """Returns sizes as a function takes them."""
    return [ctypes.c_long(value) for value in values]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)


def _instructions() -> str:
    """What the processor knows: a home may be shared by machines."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    return next((line for line in lines if line.startswith("flags")), platform.processor())
