"""scripts/check_time_forecast.py: what it reads of a plan, and what it makes of a run on a busy machine."""

import check_time_forecast as script
import pytest
from check_run_forecast import CASES

from revseg.forecast.times import REST, PastRun, Times
from revseg.plan import print_times


def test_the_seconds_of_the_whole_are_read_from_the_plan(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    times = Times(tmp_path, (PastRun({REST: 1.0, "training": 10.0}, {REST: 2.0, "training": 5.0}),))
    print_times(times, {"training": 20.0}, loaded=1.5)
    found = script.WHOLE.search(capsys.readouterr().out)
    assert found is not None
    assert float(found[1]) == 13.5


def test_seconds_of_a_busy_machine_are_scaled_to_those_of_the_processor() -> None:
    record = {"processor": 30.0, "passed": 60.0, "run": {"work": {"training": 7.0}, "seconds": {"training": 50.0}}}
    assert script.on_an_idle_machine(record) == {"work": {"training": 7.0}, "seconds": {"training": 25.0}}


def test_every_height_has_its_steps() -> None:
    assert {case.height for case in CASES} == set(script.STEPS)
