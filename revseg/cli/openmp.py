"""How soon threads of OpenMP that wait for others sleep."""

from __future__ import annotations

import os

SPINS = "5000"
"""How often a thread of libgomp looks whether the others are done before it sleeps."""


def sleep_early() -> None:
    """Lets the threads of libgomp sleep soon; it reads this as PyTorch is imported.

    By itself a thread looks 300,000 times before, unless its own process has more threads than there are cores: it does not see
    what else runs there. With 1,000 a training that is alone takes a quarter longer, with 5,000 no longer
    (docs/results/quality.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
