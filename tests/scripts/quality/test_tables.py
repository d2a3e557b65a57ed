"""Means over sequences and spread over seeds, by hand."""

import numpy as np
import pytest
from quality import tables

pytestmark = pytest.mark.slow


def record(sequence: str, method: str, jf: float, seed: int = 0, labelled: int = 5) -> dict:
    numbers = {"J": jf, "F": jf, "JF": jf, "seconds": 1.0, "peak_memory_bytes": 100 if method == "unet" else 10}
    return {"sequence": sequence, "labelled": labelled, "method": method, "seed": seed, "size": [20, 9, 9], **numbers}


MINE = [record("a", "revseg", 0.8), record("b", "revseg", 0.6), record("a", "revseg", 0.9, 1), record("b", "revseg", 0.7, 1)]
OTHERS = [record("a", "copy", 0.5), record("b", "copy", 0.7), record("a", "unet", 0.5), record("b", "unet", 0.5)]


def test_means() -> None:
    group = tables.groups([*MINE, *OTHERS])[5]["revseg"]
    assert group.mean("JF") == pytest.approx(0.75)
    assert group.spread("JF") == pytest.approx(np.std([0.7, 0.8], ddof=1))
    assert "| **5** | **revseg** | **2** | **0.750 ± 0.071** |" in tables.means([*MINE, *OTHERS])


def test_comparisons() -> None:
    copy, unet = tables.comparisons([*MINE, *OTHERS])
    assert copy == "5 labelled: J&F of revseg +0.150 against nearest label copied, higher on 1 of 2 sequences"
    assert unet.endswith("+0.250 against MONAI UNet, higher on 2 of 2 sequences, with 0.10 of its peak memory")


def test_ranks() -> None:
    correlated = [one | {"rank_correlation": value} for one, value in zip(MINE, (0.4, 0.9, 0.6, None), strict=True)]
    _, _, last = tables.comparisons([*correlated, *OTHERS])
    assert last == (
        "5 labelled: Spearman's correlation of the J that the run expects of a frame and the true one 0.70, at least 0.6 on 1 of "
        "2 sequences, least on a, 0.50"
    )


def test_sequences() -> None:
    lines = tables.by_sequence([*MINE, *OTHERS], 5, {"val": ["b"]}).splitlines()
    assert lines[0] == "| sequence | nearest label copied | revseg | MONAI UNet |"
    assert lines[3].startswith("| b | **0.700** (0.700, 0.700) | 0.650")
    assert lines[4].startswith("| **mean** | 0.600")
    assert lines[5].startswith("| mean of val | **0.700**")
