"""The seconds of a run, told by those of earlier ones."""

import json
import sys

import pytest
import torch
from harness.settings import compose

from revseg.cli import main
from revseg.forecast.outline import Outline
from revseg.forecast.times import REST, PastRun, Times, past_run
from revseg.forecast.work import work_of
from revseg.labels.dataset import evenly_spaced
from revseg.network.memory import forecast_training
from revseg.video.memory import Footage
from tests.little import arguments, write_video

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "revseg" / "times"


def work(frames=40, labelled=5, classes=2, words=()):
    config = compose(list(words))
    outline = Outline(Footage(frames, (480, 854)), evenly_spaced(frames, labelled), known=labelled, classes=classes)
    network = outline.network(config)
    return work_of(config, outline, network, step=forecast_training(network, outline.network_size(config.data), device="cpu"))


def test_work_grows_with_the_video_its_objects_and_steps():
    assert work(80)["decoding"] == 2 * work(40)["decoding"]
    assert work(80)["training"] == pytest.approx(2 * work(40)["training"], rel=0.2)
    assert work(classes=4)["smoothing evidence"] == 2 * work()["smoothing evidence"]
    assert work(words=["training.steps=120"])["training"] == 2 * work(words=["training.steps=60"])["training"]
    assert "optical flow" not in work(words=["evidence=none"])
    blind = work(words=["evidence.looks.power=0"])
    assert work()["smoothing evidence"] == 2 * blind["smoothing evidence"]
    assert work(80)["looks"] == 2 * work(40)["looks"]
    assert "looks" not in blind


def test_carrying_grows_with_the_flows_straight_from_labelled_frames():
    """With a label on every second frame, all flows that carry labels are those between neighbours."""
    near, far = work(40, labelled=20), work(40, labelled=2)
    assert near["optical flow"] == far["optical flow"]
    assert far["carrying labels"] > 3 * near["carrying labels"]


def test_inference_grows_with_placements():
    assert work(words=["placements=4"])["inference"] == 4 * work(words=["placements=1"])["inference"]


def test_the_run_most_like_it_tells_in_proportion():
    Times.of(CPU).keep(past_run({"decoding": 10.0, "writing": 1.0}, {"decoding": 1.0, "writing": 0.5, "other": 9.0}, 20.0))
    Times.of(CPU).keep(past_run({"decoding": 1000.0, "writing": 9.0}, {"decoding": 50.0, "writing": 0.7}, 60.0))
    found = Times.of(CPU).seconds({"decoding": 30.0, "writing": 8.0})
    assert found == pytest.approx({REST: (9.5 + 9.3) / 2, "decoding": 3.0, "writing": 0.7 * 8 / 9})
    assert Times.of(CPU).seconds({"decoding": 500.0})["decoding"] == pytest.approx(25.0)


def test_of_runs_alike_the_median_of_the_newest_tells():
    """One that a busy machine slowed down does not."""
    for seconds in (7.0, 7.0, 7.0, 1.0, 1.0, 1.1, 9.0, 1.0):
        Times.of(CPU).keep(PastRun({"decoding": 10.0, REST: 1.0}, {"decoding": seconds, REST: 0.0}))
    assert Times.of(CPU).seconds({"decoding": 15.0})["decoding"] == pytest.approx(1.5)


def test_nothing_is_told_of_a_phase_that_never_ran():
    assert Times.of(CPU).seconds({"decoding": 1.0}) is None
    Times.of(CPU).keep(past_run({"decoding": 1.0}, {"decoding": 1.0}, 2.0))
    assert Times.of(CPU).seconds({"decoding": 1.0, "motion": 1.0}) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[1]", '[{"work": {"a": "b"}, "seconds": {}}]', '[{"work": {"a": NaN}, "seconds": {}}]']
)
def test_what_cannot_be_read_counts_as_nothing(text, home):
    times = Times.of(CPU)
    times.path.parent.mkdir(parents=True)
    times.path.write_text(text)
    assert Times.of(CPU).runs == ()
    times.keep(PastRun({"a": 1.0}, {"a": 1.0}))
    assert len(Times.of(CPU).runs) == 1


def test_a_phase_that_had_nothing_to_do_tells_nothing(home):
    Times.of(CPU).keep(PastRun({"decoding": 0.0, REST: 1.0}, {"decoding": 1.0, REST: 1.0}))
    assert Times.of(CPU).seconds({"decoding": 1.0}) is None


def test_only_the_newest_are_kept(home):
    for number in range(40):
        Times.of(CPU).keep(PastRun({"a": 1.0}, {"a": float(number)}))
    assert [run.seconds["a"] for run in Times.of(CPU).runs] == list(range(8, 40))


@pytest.mark.slow
def test_a_run_tells_the_next_plan(tmp_path, home, monkeypatch, capsys):
    write_video(tmp_path)
    given = arguments(tmp_path, tmp_path / "run", "training.steps=4", "data.height=16")

    def planned():
        words = [word for word in given if not word.startswith("data.video=")]
        monkeypatch.setattr(sys, "argv", ["revseg-plan", str(tmp_path / "frames"), *words])
        main.plan()
        return capsys.readouterr().out

    def trained():
        monkeypatch.setattr(sys, "argv", ["revseg-train", *given])
        main.train()

    assert "is known after a first run on this machine" in planned()
    trained()
    (file,) = home.iterdir()
    (run,) = json.loads(file.read_text())
    assert run["seconds"]["training"] > 0
    lines = dict(line.rsplit(maxsplit=2)[:2] for line in planned().splitlines() if line.endswith(" s"))
    assert float(lines["training"]) == pytest.approx(run["seconds"]["training"], abs=0.06)
    assert float(lines["whole"]) > sum(run["seconds"].values())
    trained()  # nothing is left to do: no new run to remember
    assert len(json.loads(file.read_text())) == 1
