"""scripts/second_round.py: the section of its page."""

from argparse import Namespace
from pathlib import Path

import pytest
import second_round as script
from harness.results import Record, Results

GIVEN = {"labelled": 5, "max_frames": None, "overrides": []}


def record(first: float, second: float) -> Record:
    runs = {"first": (first, 0.90), "second": (second, 0.92), "scratch": (first, 0.91)}
    found = {name: {"processor": seconds, "JF": quality} for name, (seconds, quality) in runs.items()}
    return found | {"asked": "00007", "frames": 20, "steps": 15}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    found = Results(tmp_path, {})
    found.keep("libby/15", record(100, 30))
    return found


def test_a_sequence_has_the_ratio_of_its_rounds_and_the_gain_over_nothing(results: Results) -> None:
    text = script.section(results, Namespace(**GIVEN))
    assert text.splitlines()[-1] == "| libby | 00007 | 20 | 15 | 100 | 30 | 0.30 | 0.900 | 0.920 | 0.910 | +0.010 |"


def test_several_have_their_mean(results: Results) -> None:
    results.keep("dogs-jump/15", record(100, 40))
    last = script.section(results, Namespace(**GIVEN)).splitlines()[-1]
    assert last.startswith("| **mean** |  | 20 | 15 | 100 | 35 | 0.35 |")


def test_what_was_set_is_told(results: Results) -> None:
    text = script.section(results, Namespace(**GIVEN | {"max_frames": 20, "overrides": ["device=cpu"]}))
    assert text.startswith("5 labels, then one more, the first 20 frames, with device=cpu. ")
