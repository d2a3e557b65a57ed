"""What is computed, counted."""

from collections.abc import Sequence

import numpy as np
import pytest

from revseg.evidence.flow import Flow


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The flows that are computed; each of them is."""
    pairs: list[tuple[int, int]] = []
    find = Flow._find

    def counted(self: Flow, some: Sequence[tuple[int, int]]) -> Sequence[np.ndarray]:
        pairs.extend(some)
        return find(self, some)

    monkeypatch.setattr(Flow, "_find", counted)
    return pairs
