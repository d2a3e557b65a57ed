"""Items of a dataset, made ahead; its measures and what it leaves behind."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from revseg import RevSegNet
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.config import EvidenceConfig, FlowConfig, SmoothingConfig
from revseg.evidence.flow import Flow
from revseg.evidence.motion import motion_evidence
from revseg.evidence.store import FlowStore
from revseg.labels.masks import write_mask
from revseg.tasks.config import DataConfig
from revseg.tasks.dataset import DatasetTask, open_dataset
from revseg.training.feed import made_ahead
from tests.little import FRAMES, HEIGHT, WIDTH, write_video

pytestmark = pytest.mark.slow

EVIDENCE = EvidenceConfig(flow=FlowConfig(least_height=2 * HEIGHT))
NONE = replace(EVIDENCE, source="none", smoothing=SmoothingConfig(sweeps=0))
SMALL = HEIGHT // 2, WIDTH // 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences a and b to train on, with 1 and 2 objects, and c to validate with."""
    root = tmp_path_factory.mktemp("dataset")
    for name, objects in (("a", 1), ("b", 2), ("c", 1)):
        frames, masks = write_video(root / "made" / name, objects)
        for source, kind in ((frames, "JPEGImages"), (masks, "Annotations")):
            target = root / kind / "480p" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "train.txt").write_text("a\nb\n")
    (root / "ImageSets" / "2017" / "val.txt").write_text("c\n")
    return root


def opened(root: Path, evidence: EvidenceConfig = NONE, folder: Path | None = None, **more: object) -> DatasetTask:
    """At half the videos' height."""
    return open_dataset(
        DataConfig(root=str(root), year=2017, height=SMALL[0]),
        store=FlowStore(folder),
        cache=EvidenceCache(folder),
        evidence=evidence,
        **more,  # type: ignore[arg-type]
    )


def network(task: DatasetTask) -> RevSegNet:
    torch.manual_seed(0)
    return RevSegNet(channels=2, levels=1, depth=1, rank=3, classes=task.classes, evidence=task.sees_evidence).eval()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The flows that are computed; each of them is."""
    pairs: list[tuple[int, int]] = []
    find = Flow._find

    def counted(self: Flow, some: Sequence[tuple[int, int]]) -> object:
        pairs.extend(some)
        return find(self, some)

    monkeypatch.setattr(Flow, "_find", counted)
    return pairs


def test_flow_takes_all_cores_where_items_are_made_on_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_num_threads", lambda: 3)
        task = opened(root, EVIDENCE)
    with closing(made_ahead(lambda index: made(task, index), count(), ahead=1, device=torch.device("cpu"))) as items:
        assert next(items) == (1, 3)


def made(task: DatasetTask, index: int) -> tuple[int, int]:
    """Threads of PyTorch, and of flow."""
    task.item(index)
    flow = task._observed(task.training, task.training.load("a")).flow
    assert flow is not None
    return torch.get_num_threads(), flow.threads


def test_an_item_is_a_whole_video_with_all_its_labels(root: Path) -> None:
    task = opened(root)
    items = [task.item(index) for index in range(4)]
    for item in items:
        assert item.volume.shape == (3, FRAMES, *SMALL)
        assert item.labelled_frames == tuple(range(FRAMES))
        assert item.evidence is None
    shown = [int(item.labels.max()) for item in items]  # an epoch has every video once
    assert sorted(shown[:2]) == sorted(shown[2:]) == [1, 2]
    assert (task.classes, task.label_count, task.sees_evidence) == (3, None, False)
    assert task.largest() == ((FRAMES, *SMALL), FRAMES)
    assert opened(root, classes=5).classes == 5


def test_the_network_is_shown_what_moves(root: Path) -> None:
    """Not the labels: a new video has none."""
    task = opened(root, EVIDENCE)
    item = task.item(0)
    assert task.sees_evidence
    assert item.evidence is not None
    assert item.evidence.planes().shape == (task.classes + 1, FRAMES, *SMALL)
    (name,) = [name for name in "ab" if task.training.load(name, height=SMALL[0]).volume.equal(item.volume)]
    flow = Flow(task.training.load(name).volume, EVIDENCE.flow, store=FlowStore())
    moving = motion_evidence(flow, task.classes, config=EVIDENCE, cache=EvidenceCache(None))
    assert item.evidence.planes().equal(moving.resized(SMALL).planes())


@pytest.mark.parametrize("keeps", [False, True])
def test_what_moves_is_found_once(root: Path, keeps: bool, tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    task = opened(root, EVIDENCE, tmp_path if keeps else None)
    first = [task.item(index) for index in range(2)]
    count = len(computed)
    again = [task.item(index) for index in range(2)]
    assert len(computed) == count > 0
    for one, other in zip(first, again, strict=True):
        assert one.evidence is not None
        assert other.evidence is not None
        assert one.evidence.planes().equal(other.evidence.planes())
    if keeps:  # in another process, too
        opened(root, EVIDENCE, tmp_path).item(0)
        assert len(computed) == count


def test_more_objects_than_classes(root: Path) -> None:
    task = opened(root, classes=2)
    with pytest.raises(ValueError, match=r"show object 2, but network.classes=2 has none for it; set network.classes=3"):
        [task.item(index) for index in range(2)]


@pytest.mark.parametrize("evidence", [NONE, EVIDENCE], ids=["none", "flow"])
def test_masks_and_tables_of_the_validation_split(root: Path, evidence: EvidenceConfig, tmp_path: Path) -> None:
    task = opened(root, evidence)
    result = task.finish(network(task), tmp_path / "predictions")
    assert sorted(path.name for path in (tmp_path / "predictions" / "c" / "masks").iterdir())[-1] == f"{FRAMES - 1:05d}.png"
    assert set(result.metrics) == {"J", "F", "JF", "sequences"}
    assert list(result.metrics["sequences"]) == ["c"]
    assert result.metrics["JF"] == pytest.approx((result.metrics["J"] + result.metrics["F"]) / 2)
    assert result.objective == result.metrics["JF"]
    table = json.loads((tmp_path / "validation.json").read_text())
    assert "c" in json.dumps(table)
    assert (tmp_path / "validation.csv").read_text().count("c") > 0


def test_an_evaluation_measures_every_video(root: Path) -> None:
    task = opened(root)
    found = task.evaluate(network(task))
    assert set(found.scalars) == {"validation/J", "validation/F", "validation/JF", "validation sequences/c"}
    assert found.scalars["validation/JF"] == pytest.approx(found.scalars["validation sequences/c"])
    assert [name.split("/")[0] for name in found.pictures] == ["c"]


def test_a_perfect_mask_is_measured_at_the_size_of_the_video(root: Path, tmp_path: Path) -> None:
    task = opened(root)
    sample = task.validation.load("c", height=SMALL[0])
    for name, mask in zip(sample.frame_names, sample.masks, strict=True):
        write_mask(tmp_path / "masks" / f"{name}.png", mask.numpy())
    (score,) = task._scores(sample, tmp_path).values()
    assert (score.J.mean, score.F.mean) == (1.0, 1.0)
