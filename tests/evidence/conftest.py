"""What is computed, counted."""

import numpy as np
import pytest

from revseg.evidence.flow import Flow


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The flows that are computed; each of them is."""
    pairs: list[tuple[int, int]] = []
    find = Flow._find

    def counted(self: Flow, frame: int, other: int) -> np.ndarray:
        pairs.append((frame, other))
        return find(self, frame, other)

    monkeypatch.setattr(Flow, "_find", counted)
    return pairs
