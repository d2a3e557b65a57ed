"""Labels that can be read, and are seldom meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from revseg.labels.suspicion import tell_suspicion


def masks(*rows: tuple[int, ...]) -> Tensor:
    """Each row of values is a mask of one line."""
    return torch.tensor(rows, dtype=torch.uint8)[:, None]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (masks((0, 0, 1), (0, 0, 0), (2, 255, 0)), None),
        (masks((0, 0, 0), (0, 0, 255)), "show background and nothing else: check data.encoding"),
        (masks((1, 1, 1), (1, 1, 1)), "show object 1 and nothing else"),
        (masks((1, 1, 255), (255, 255, 255)), "show object 1 and nothing else"),
        (masks((1, 1, 0), (0, 0, 255), (0, 255, 255)), "b.png is 0 and 255 alone, background and don't care: check that"),
        (masks((1, 1, 0), (1, 1, 1), (2, 2, 2)), "b.png, c.png are one object all over, without any background: check that"),
        (masks((0, 7, 254)), None),
    ],
)
def test_what_is_told(labels: Tensor, sentence: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        tell_suspicion(labels, tmp_path, ["a.png", "b.png", "c.png"][: len(labels)])
    assert [sentence in record.message for record in caplog.records if sentence] == [True] * (sentence is not None)
    assert len(caplog.records) == (sentence is not None)


def test_a_volume_may_have_slices_of_one_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tell_suspicion(masks((1, 1, 1), (0, 0, 1)), tmp_path)
    assert not caplog.records
