"""What is told of errors that machines and files cause; mistakes of the program show their traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from revseg.cli.sentences import sentence


def out_of_memory_in_opencv() -> None:
    cv2.resize(np.zeros((2, 2), np.float64), (1 << 30, 1 << 29))


@pytest.mark.parametrize(
    "fill",
    [lambda: torch.empty(1 << 50), lambda: np.empty(1 << 50), lambda: bytearray(1 << 50), out_of_memory_in_opencv],
)
def test_out_of_memory(fill) -> None:  # type: ignore[no-untyped-def]
    """Whoever allocates."""
    with pytest.raises((RuntimeError, MemoryError, cv2.error)) as error:
        fill()
    told = sentence(error.value, [])
    assert told is not None
    assert told.startswith("out of memory")
    assert told.endswith("; lower data.height, data.max_frames, network.channels or network.rank")
    assert "\n" not in told


WITHOUT_MEMORY = """
import resource
from pathlib import Path
import torch
from revseg.cli.sentences import sentence
x, weight = (torch.ones(size, dtype=torch.bfloat16) for size in ((1, 16, 8, 24, 24), (16, 16, 3, 3, 3)))
used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + (1 << 18),) * 2)
try:
    torch.nn.functional.conv3d(x, weight, padding=1)
except (RuntimeError, MemoryError) as error:
    print(sentence(error, []))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="sizes are read from Linux's /proc")
def test_a_convolution_without_memory() -> None:
    """oneDNN's words do not speak of memory."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("out of memory: ")


def test_mistakes_of_the_program_are_none_of_these() -> None:
    with pytest.raises(cv2.error) as error:
        cv2.resize(np.zeros((0, 2)), (2, 2))
    for mistake in (error.value, RuntimeError("shape"), TypeError("typo"), AssertionError()):
        assert sentence(mistake, []) is None


def test_errors_of_the_system() -> None:
    assert sentence(OSError(errno.ENOENT, "No such file or directory", "a.mp4"), []) == "a.mp4: No such file or directory"
    assert sentence(ValueError("two\n  lines"), []) == "two lines"
