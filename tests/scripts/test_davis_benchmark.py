"""scripts/davis_benchmark.py on a made-up data set, and what it compares with."""

import csv
import importlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.labels.sample import VOID, Sample
from tests.little import FRAMES, HEIGHT, NETWORK, WIDTH, write_video

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch):
    """Imports a module of scripts/davis_benchmark; "" the package."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"davis_benchmark.{name}")

    return load


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences in the layout of DAVIS 2017, each of two objects."""
    folder = tmp_path_factory.mktemp("DAVIS")
    for name in ("one", "two"):
        frames, masks = write_video(folder / "made" / name, objects=2)
        for kind, made in (("JPEGImages", frames), ("Annotations", masks)):
            (folder / kind / "480p").mkdir(parents=True, exist_ok=True)
            made.rename(folder / kind / "480p" / name)
    lists = folder / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("one\n")
    return folder


@pytest.fixture
def benchmark(part, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Called as from a shell; a case runs in this process."""
    trial, results = part("trial"), part("results")
    ran = []

    def run(case, recipe, output: Path, clip: int | None) -> None:
        ran.append(str(case))
        (output / case.folder).mkdir(parents=True)
        trial.measure(case, recipe, output / case.folder, clip)

    monkeypatch.setattr(trial, "run", run)
    monkeypatch.setattr(trial, "warm_up", lambda *_: None)
    spec = importlib.util.spec_from_file_location("davis_benchmark_script", SCRIPTS / "davis_benchmark.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def call(*given: str) -> list[str]:
        """Returns the cases that were measured."""
        ran.clear()
        common = ["--root", str(root), "--year", "2017", "--height", "native", "--output", str(tmp_path / "out"), "device=cpu"]
        monkeypatch.setattr(sys, "argv", ["davis_benchmark.py", *common, *given])
        script.main()
        return list(ran)

    call.records = lambda: results.records(tmp_path / "out")
    return call


def test_measures_resumes_and_reports(benchmark, tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    page.write_text("# Mine\n\nBy hand, above.\n")
    given = ["--labelled", "1,3", "--methods", "copy", "--page", str(page), "--section", "little"]
    assert len(benchmark(*given, "--seeds", "0,1")) == 4  # copying depends on no seed
    page.write_text(page.read_text() + "\nBy hand, below.\n")
    first = page.read_text()
    assert benchmark(*given) == []
    assert page.read_text() == first
    assert first.startswith("# Mine\n\nBy hand, above.\n\n<!-- davis_benchmark little")
    assert "mean of train" in first
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["object"] for row in rows[:3]] == ["all", "1", "2"]
    assert float(rows[0]["JF"]) == pytest.approx((float(rows[1]["JF"]) + float(rows[2]["JF"])) / 2)
    with Image.open(tmp_path / "out" / "sheets" / "two.png") as sheet:
        assert sheet.width == 1280


def test_trains_with_the_settings_given(benchmark, part, tmp_path: Path) -> None:
    given = ["--sequences", "one", "--labelled", "3", "--methods", "revseg", "--steps", "2", "--seeds", "7", "--keep-runs"]
    benchmark(*given, *NETWORK)
    (record,) = benchmark.records()
    folder = tmp_path / "out" / "one" / "labelled3" / "revseg" / "seed7"
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert record["steps"] == metrics["steps"] == 2
    assert record["labelled_frames"] == metrics["labelled_frames"] == [0, 4, 7]
    assert record["J"] == pytest.approx(metrics["J"])
    assert record["F"] == pytest.approx(metrics["F"])
    assert set(record["objects"]) == {"1", "2"}
    assert part("results").masks_of(tmp_path / "out", part("results").case_of(record)).shape == (FRAMES, HEIGHT, WIDTH)
    config = (folder / "run" / "config.yaml").read_text()
    assert "seed: 7" in config
    assert "classes: 3" in config
    assert "channels: 2" in config


def test_baselines_need_no_network(benchmark, part, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a guided network needs is neither made nor timed for them."""
    monkeypatch.setattr(part("methods"), "open_experiment", None)
    benchmark("--sequences", "one", "--labelled", "3", "--methods", "copy,flow,flow-direct,flow-fine", "network.guided=true")
    found = {record["method"]: record["J"] for record in benchmark.records()}
    assert set(found) == set(part("methods").BASELINES)
    assert min(found[name] for name in ("flow", "flow-direct", "flow-fine")) > found["copy"] + 0.1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["data.height=48"], "the benchmark sets data.height itself; use --height"),
        (["training.stepz=3"], "did you mean training.steps"),
        (["--sequences", "three"], "there is no sequence 'three'"),
    ],
)
def test_mistakes(benchmark, given: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark("--methods", "copy", *given)
    assert sentence in str(stop.value.code)


def test_results_of_other_settings_are_refused(benchmark) -> None:
    benchmark("--methods", "copy", "--labelled", "1")
    with pytest.raises(SystemExit) as stop:
        benchmark("--methods", "copy", "--labelled", "1", "--max-frames", "4")
    assert "holds results with max_frames=None, not 4: choose another --output" in str(stop.value.code)


def test_a_failure_says_where_to_read_on(part, root: Path, tmp_path: Path) -> None:
    """In a process of its own: all frames labelled, nothing to measure."""
    case, trial = part("case"), part("trial")
    recipe = case.Recipe(str(root), 2017, None, 3, None, ("device=cpu",))
    wrong = trial.run(case.Case("one", 3, "copy"), recipe, tmp_path)
    assert "all 3 frames of one are labelled" in wrong
    assert "log.txt" in wrong
    assert trial.run(case.Case("one", 2, "copy"), recipe, tmp_path) is None
    assert part("results").records(tmp_path)[0]["peak_memory_bytes"] >= 0


@pytest.mark.parametrize(("clip", "expected"), [(None, 32), (32, 16), (16, None)])
def test_clips_get_shorter_until_they_fit(part, tmp_path: Path, clip: int | None, expected: int | None) -> None:
    (tmp_path / "frames.txt").write_text("70")
    assert part("trial").shorter(tmp_path, clip) == expected


def video(volume: np.ndarray, labels: np.ndarray, frames: tuple[int, ...]) -> Sample:
    """volume: (T, H, W) grey."""
    size = volume.shape[1:]
    colour = torch.from_numpy(np.repeat(volume[None], 3, axis=0))
    names = tuple(f"{index:05d}" for index in range(len(volume)))
    return Sample("made", colour, torch.from_numpy(labels), frames, size, Fraction(24), Path("made"), names)


@pytest.mark.parametrize("chain", [True, False])
def test_flow_carries_labels_with_what_moves(part, chain: bool) -> None:
    """Texture that moves two pixels to the right in every frame, labelled in the middle."""
    coarse = np.random.default_rng(0).integers(0, 255, (16, 32), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((128, 64), Image.Resampling.BICUBIC))
    mask = np.zeros((64, 128), np.uint8)
    mask[20:44, 40:70] = 2
    moved = np.stack([np.roll(texture, 2 * (t - 2), axis=1)[:, 10:-10] for t in range(5)])
    truth = np.stack([np.roll(mask, 2 * (t - 2), axis=1)[:, 10:-10] for t in range(5)])
    labels = truth[2:3].copy()
    labels[0, 0] = VOID
    masks = part("optical_flow").propagate(video(moved, labels, (2,)), chain)
    for found, true in zip(masks, truth, strict=True):
        assert set(np.unique(found)) == {0, 2}
        assert ((found == 2) & (true == 2)).sum() > 0.93 * ((found == 2) | (true == 2)).sum()


def test_clips_hold_a_labelled_frame(part) -> None:
    from revseg.training.augment import Augmented

    unet = part("unet")
    volume = torch.arange(40, dtype=torch.uint8).view(1, 40, 1, 1).expand(3, -1, 2, 2)
    labels = torch.tensor([0, 13, 39], dtype=torch.uint8).view(3, 1, 1).expand(-1, 2, 2)
    whole = Augmented(volume, labels, (0, 13, 39), (0, 0, 0))
    assert unet.cut(whole, 40, torch.Generator()) is whole
    for seed in range(20):
        clip = unet.cut(whole, 16, torch.Generator().manual_seed(seed))
        assert clip.volume.shape[1] == 16
        assert clip.labelled_frames
        for frame, row in zip(clip.labelled_frames, clip.labels, strict=True):
            assert clip.volume[0, frame, 0, 0] == row[0, 0]


class Threshold(torch.nn.Conv3d):
    """A network that knows: an object is what is brighter than average."""

    def __init__(self) -> None:
        super().__init__(3, 2, 1)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1).expand(-1, 3, -1, -1, -1))
            self.bias.zero_()


@pytest.mark.parametrize("clip", [16, 7, 40])
def test_clips_together_are_the_whole(part, clip: int) -> None:
    volume = (torch.rand(3, 19, 10, 18, generator=torch.Generator().manual_seed(0)) > 0.5).to(torch.uint8) * 255
    found = torch.stack(list(part("unet").probabilities(Threshold(), volume, clip)))
    assert found.shape == (19, 2, 10, 18)
    assert torch.equal(found.argmax(1) == 1, volume.float().mean(0) > 120)


@pytest.mark.parametrize("guided", ["true", "false"])
def test_the_unet_learns_by_the_recipe(guided: str, part, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, methods, unet = part("case"), part("methods"), part("unet")
    more = "device=cpu", "training.ema=0.9", "augment.rotation=0", f"network.guided={guided}"
    recipe = case.Recipe(str(root), 2017, None, None, 3, more)
    problem = part("problem").Problem.of(case.Case("two", 3, "unet"), recipe, tmp_path / "run")
    monkeypatch.setattr(unet, "new_unet", lambda inputs, classes, *_: torch.nn.Conv3d(inputs, classes, 3, padding=1))
    outcome = methods.unet(problem, 5)
    assert outcome.facts["steps"] == 3
    assert outcome.facts["clip_frames"] == 5
    assert np.stack(outcome.masks).shape == (FRAMES, HEIGHT, WIDTH)
    assert (problem.run_dir / "predictions" / "overlay.mp4").exists()


def test_a_guided_unet_begins_with_what_evidence_says(part) -> None:
    """Channels after RGB: a probability of each class, and the confidence."""
    unet = part("unet")
    net = torch.nn.Conv3d(7, 3, 1)
    torch.nn.init.zeros_(net.weight)
    torch.nn.init.zeros_(net.bias)
    volume = torch.randint(0, 256, (7, 5, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = torch.stack(list(unet.probabilities(unet.Guided(net, 3), volume, 5)))
    assert torch.equal(found.argmax(1), volume[3:6].float().argmax(0))


@pytest.mark.parametrize("inputs", [3, 6])
def test_monai(part, inputs: int) -> None:
    pytest.importorskip("monai")
    unet = part("unet")
    net = unet.new_unet(inputs, 2, 0, torch.device("cpu"))
    volume = torch.zeros(inputs, 5, 20, 30, dtype=torch.uint8)
    assert unet.logits(net, volume, (11, 3, 2)).shape == (2, 5, 20, 30)


def record(sequence: str, method: str, jf: float, seed: int = 0, labelled: int = 5) -> dict:
    numbers = {"J": jf, "F": jf, "JF": jf, "seconds": 1.0, "peak_memory_bytes": 100 if method == "unet" else 10}
    return {"sequence": sequence, "labelled": labelled, "method": method, "seed": seed, "size": [20, 9, 9], **numbers}


def test_tables(part) -> None:
    """Means over sequences and spread over seeds, by hand."""
    tables = part("tables")
    mine = [record("a", "revseg", 0.8), record("b", "revseg", 0.6), record("a", "revseg", 0.9, 1), record("b", "revseg", 0.7, 1)]
    others = [record("a", "copy", 0.5), record("b", "copy", 0.7), record("a", "unet", 0.5), record("b", "unet", 0.5)]
    others[2]["clip_frames"] = 16
    group = tables.groups([*mine, *others])[5]["revseg"]
    assert group.mean("JF") == pytest.approx(0.75)
    assert group.spread("JF") == pytest.approx(np.std([0.7, 0.8], ddof=1))
    means = tables.means([*mine, *others])
    assert "| **5** | **revseg** | **2** | **0.750 ± 0.071** |" in means
    assert "MONAI UNet, clips of 16 frames in 1 of 2 trainings" in means
    baselines, unet = tables.comparisons([*mine, *others])
    assert "+0.150 against the best of the baselines (nearest label copied), above all of them on 1 of 2" in baselines
    assert "+0.250 against MONAI UNet, higher on 2 of 2 sequences, with 0.10 of its peak memory" in unet
    lines = tables.by_sequence([*mine, *others], 5, {"val": ["b"]}).splitlines()
    assert lines[3].startswith("| b | **0.700** (0.700, 0.700) | 0.650")
    assert lines[4].startswith("| **mean** | 0.600")
    assert lines[5].startswith("| mean of val | **0.700**")


def test_a_page_with_half_a_section_is_left_alone(part, tmp_path: Path) -> None:
    page = part("page")
    page.write_section(tmp_path / "page.md", "x", "text")
    text = (tmp_path / "page.md").read_text()
    (tmp_path / "page.md").write_text(text.replace("<!-- end of davis_benchmark x -->", ""))
    with pytest.raises(ValueError, match="only one of the two markers"):
        page.write_section(tmp_path / "page.md", "x", "other")


def test_errors_in_colour(part) -> None:
    sheet = part("sheet")
    labels = np.array([[0, 1, 1, 1, 0, VOID]], np.uint8)
    mask = np.array([[1, 0, 1, 2, 0, 1]], np.uint8)
    picture = sheet.error(np.zeros((1, 6, 3), np.uint8), labels, mask)
    grey = (64, 64, 64)
    expected = [sheet.TOO_MUCH, sheet.MISSING, grey, sheet.OTHER_OBJECT, grey, grey]
    assert [tuple(pixel) for pixel in picture[0].tolist()] == expected
    assert sheet.chosen({0: 0.9, 1: 0.9, 2: 0.1, 3: 0.9, 4: 0.9, 5: 0.9}) == [1, 2, 3, 5]
