"""The C compiler of this machine."""

from __future__ import annotations

import os
import shutil


def compiler() -> str | None:
    """Returns the C compiler that Triton builds its launchers with, found as it finds it; None where there is none."""
    given = os.environ.get("CC")
    return shutil.which(given.split()[0]) if given and given.strip() else shutil.which("gcc") or shutil.which("clang")
