"""What is told of errors that machines and files cause; mistakes of the program show their traceback."""

from __future__ import annotations

import errno

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


def test_mistakes_of_the_program_are_none_of_these() -> None:
    with pytest.raises(cv2.error) as error:
        cv2.resize(np.zeros((0, 2)), (2, 2))
    for mistake in (error.value, RuntimeError("shape"), TypeError("typo"), AssertionError()):
        assert sentence(mistake, []) is None


def test_errors_of_the_system() -> None:
    assert sentence(OSError(errno.ENOENT, "No such file or directory", "a.mp4"), []) == "a.mp4: No such file or directory"
    assert sentence(ValueError("two\n  lines"), []) == "two lines"
