"""Whether this machine lets its user make control groups."""

import pytest
from harness.control_group import control_group


def can_make_one() -> bool:
    try:
        with control_group(1 << 30):
            return True
    except OSError:
        return False


needs_control_groups = pytest.mark.skipif(not can_make_one(), reason="needs the right to make control groups of memory")
