"""The log of a job: what its handlers are is in configs/hydra/job_logging."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

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
