"""revseg beside its peers, by hand."""

import pytest
from speed.ratios import floor_bytes, lines

pytestmark = pytest.mark.slow


def case(peer: str, **measured: object) -> dict:
    return {"peer": peer, "size": [16, 32, 32], "depth": [0, 2, 2], "channels": 4, "rank": 16, "flops": 10.0, **measured}


def test_ratios() -> None:
    mine, theirs = case("revseg", seconds=[1.0, 2.0, 3.0], peak=1 << 20), case("plain", seconds=[1.0, 1.0, 2.0], peak=4 << 20)
    groups = {"depth/16": {"cases": [mine, theirs]}, "stored": {"cases": [mine, theirs]}}
    found = {what: measured for what, _, _, measured in lines(groups)}
    assert found["step time / same network, plain autograd"] == "1.5 [1 to 2]"
    assert found["peak / same network, plain autograd"] == "0.25 (1 MB, 4 MB)"


def test_what_failed_is_beside_nothing() -> None:
    failed = case("plain", error="out of memory", seconds=[1.0])
    assert not list(lines({"depth/16": {"cases": [case("revseg", seconds=[1.0]), failed]}}))


def test_the_floor_counts_the_padded_volume() -> None:
    """2 states and 2 adjoints of 4 bytes, 4 channels; 30 lines are padded to 32."""
    record = case("revseg") | {"size": [16, 30, 32]}
    assert floor_bytes(record) == 4 * 4 * 4 * 16 * 32 * 32
