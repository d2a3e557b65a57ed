"""The log of a job: what its handlers are is in configs/hydra/job_logging."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOGGERS = (None, "revseg")
"""The root and ours: those that Hydra's logging configurations change."""


def write_to_log(text: str | None, error: BaseException) -> None:
    """Writes the sentence that ends a job, or else the traceback, to the job's file; the console gets it from the command."""
    logger = logging.getLogger("revseg")
    trace = None if text else (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, text or "stopped", (), trace)
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


PACKAGE = Path(__file__).parents[1]


@contextmanager
def warnings_logged() -> Iterator[None]:
    """Sends Python's warnings to the log. Those of other libraries go to the file alone: they are about the inside of a file or
    of a library, and what matters of it ends in a sentence of ours."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None, line: str | None = None
    ) -> None:
        ours = Path(filename).is_relative_to(PACKAGE)
        text = str(message) if ours else f"{category.__name__} of {filename}:{lineno}: {message}"
        logging.getLogger("revseg").log(logging.WARNING if ours else logging.DEBUG, "%s", text)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def log_warnings(rank: int) -> None:
    """Sets up the log of a process that does not write the run: warnings alone, which name it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(f"rank {rank}: %(message)s"))
    for name in LOGGERS:
        logging.getLogger(name).handlers[:] = [handler] if name is None else []


@contextmanager
def logging_restored() -> Iterator[None]:
    """Takes the handlers away again that Hydra has set: who calls a command from Python keeps the own ones."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            for handler in logger.handlers:
                if handler not in handlers and isinstance(handler, logging.FileHandler):
                    handler.close()
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
