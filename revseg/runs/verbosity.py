"""How much a command prints."""

from __future__ import annotations

import logging

LEVELS = {"quiet": logging.WARNING, "normal": logging.INFO, "debug": logging.DEBUG}


def check_verbosity(verbosity: str) -> None:
    """Raises ValueError where there is no such verbosity."""
    if verbosity not in LEVELS:
        raise ValueError(f"verbosity is {verbosity}; choose one of {', '.join(LEVELS)}")
