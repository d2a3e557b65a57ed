"""Fixtures that several folders of tests share."""

import os
from pathlib import Path

import pytest

from tests.video_fixtures import break_packet, encode, pictures  # noqa: F401

# Before torch loads OpenMP: where other programs share the cores, threads that spin at every small
# operation make the tests ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def davis_root() -> Path:
    """Ten real DAVIS sequences; they lie beside the checkout."""
    root = Path(__file__).resolve().parents[2] / "shared" / "davis"
    if not root.is_dir():
        pytest.skip(f"no DAVIS sequences at {root}")
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs slow files first: processes that share the files out then end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
