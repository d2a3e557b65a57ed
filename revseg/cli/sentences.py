"""How a command ends that cannot go on: one sentence, and an exit status."""

from __future__ import annotations

import errno
import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from revseg.cli.composition import reason
from revseg.runs.interruption import Interrupted, Signalled

TOLD = (
    Interrupted,
    KeyboardInterrupt,
    ValueError,
    OSError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    HydraException,
    OmegaConfBaseException,
)
"""What may be the fault of a setting, a file or the machine, and not of the program."""

OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "could not create a primitive",
    "Insufficient memory",
    "can't start new thread",
    "bad_alloc",
    "Cannot allocate memory",
)
"""What PyTorch, oneDNN, OpenCV, Python and others say where the computer's memory is at its end."""


def sentence(error: BaseException, overrides: list[str]) -> str | None:
    """What is told of an error; None where it is a mistake of the program, which shows its traceback."""
    if isinstance(error, (Interrupted, Signalled)):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return reason(error, overrides)
    if isinstance(error, (MemoryError, RuntimeError)) or _of_opencv(error):
        return _out_of_memory(error)
    if not isinstance(error, TOLD):
        return None
    if isinstance(error, OSError) and error.strerror:
        # It prints as "[Errno 2] No such file or directory: 'x'"; turned round, the file comes first.
        told = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return _without_memory(told) if error.errno == errno.ENOMEM else told
    return " ".join(str(error).split()) or type(error).__name__


def tell(text: str) -> None:
    """Prints a sentence that ends a command."""
    print(f"revseg: {text}", file=sys.stderr)


def status(error: BaseException) -> int:
    """The exit status: that of the signal, else 1."""
    if isinstance(error, (Interrupted, Signalled)):
        return 128 + error.signum
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def in_words(error: BaseException, overrides: list[str]) -> tuple[str, int] | None:
    """Returns the sentence of an error and its exit status; None where it is a mistake of the program."""
    text = sentence(error, overrides)
    return None if text is None else (text, status(error))


def _of_opencv(error: BaseException) -> bool:
    cv2 = sys.modules.get("cv2")
    return cv2 is not None and isinstance(error, cv2.error)


def _out_of_memory(error: BaseException) -> str | None:
    # Libraries have classes of their own, or only a message. They are asked where they are loaded: importing them takes seconds.
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and isinstance(error, torch.OutOfMemoryError)
    if not (isinstance(error, MemoryError) or on_gpu or any(words in str(error) for words in OUT_OF_MEMORY)):
        return None
    return _without_memory(" ".join(str(error).split(". ")[0].split()))


def _without_memory(told: str) -> str:
    return f"out of memory{f': {told}' if told else ''}; lower data.height, data.max_frames, network.channels or network.rank"
