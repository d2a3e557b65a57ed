"""Whether a command ended as it has to: with success and no noise, or with one sentence and nothing half-written."""

from __future__ import annotations

import signal
from pathlib import Path

from harness.command import Outcome

SECONDS, BYTES = 30, 4 << 30
"""How long a command may take, and how much address space beyond that of the libraries."""

LONGEST = 800
"""Characters of a sentence; file names are long."""


def fault(outcome: Outcome, folder: Path) -> str | None:
    """Returns what is wrong with the end of a command; None where nothing is."""
    lines = [line for line in outcome.error.splitlines() if line.strip()]
    found = None
    if outcome.status == -signal.SIGKILL and outcome.seconds >= SECONDS:
        found = f"took longer than {SECONDS} s"
    elif "Traceback" in outcome.error:
        found = "traceback"
    elif outcome.status < 0:
        found = f"ended by signal {-outcome.status}"
    elif outcome.status not in (0, 1):
        found = f"exit status {outcome.status}"
    elif outcome.peak > BYTES:
        found = f"took {outcome.peak / 1e9:.1f} GB"
    elif outcome.status == 0 and lines:
        found = "noise beside success"
    elif outcome.status == 1 and not (len(lines) == 1 and lines[0].startswith("revseg: ") and len(lines[0]) <= LONGEST):
        found = "not one sentence"
    elif any(folder.rglob(".*.partial")):
        found = "left a half-written file"
    return found
