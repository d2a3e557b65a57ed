"""Fixtures that several folders of tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def davis_root() -> Path:
    """Ten real DAVIS sequences; they lie beside the checkout."""
    root = Path(__file__).resolve().parents[2] / "shared" / "davis"
    if not root.is_dir():
        pytest.skip(f"no DAVIS sequences at {root}")
    return root
