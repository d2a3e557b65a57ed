"""The peak of a process."""

import pytest
import torch
from harness.memory import STATUS, Footprint

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not STATUS.exists(), reason="resident sizes are read from /proc")
@pytest.mark.parametrize("live", [True, False])
def test_what_was_allocated_and_freed_is_seen(live: bool) -> None:
    footprint = Footprint(torch.device("cpu"), live=live)
    torch.ones(16 << 20)  # 64 MB, freed at once
    assert 62 << 20 < footprint.peak() < 72 << 20  # Linux counts pages in batches
    assert footprint.reserved() is None
