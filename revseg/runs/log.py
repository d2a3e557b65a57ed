"""The log file of a run: a full disk ends it, not the run."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress


class LogFile(logging.FileHandler):
    """Writes log lines to a file; where that fails, says so once, without a traceback, and writes no more."""

    ended = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.ended:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.ended = True
        logging.getLogger("revseg").warning(f"{self.baseFilename} is not written any more: {error.strerror}; free space there")

    def close(self) -> None:
        with suppress(OSError):  # what it could not write before it cannot write now
            super().close()
