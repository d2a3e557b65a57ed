"""One video of real files: what is trained on, what is held out, and what is left behind."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg import RevSegNet
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.config import EvidenceConfig, FlowConfig, SmoothingConfig, StrokesConfig
from revseg.evidence.observation import Observation
from revseg.evidence.store import FlowStore
from revseg.labels.masks import read_mask, write_mask
from revseg.tasks.config import DataConfig, GuidanceConfig
from revseg.tasks.objects import Objects
from revseg.tasks.one_video import OneVideo, open_one_video, read_one_video
from revseg.tasks.several_videos import SeveralVideos
from revseg.training.config import TrainingConfig
from tests.little import FRAMES, HEIGHT, WIDTH, write_video

pytestmark = pytest.mark.slow

EVIDENCE = EvidenceConfig(flow=FlowConfig(least_height=2 * HEIGHT))
NONE = replace(EVIDENCE, source="none", smoothing=SmoothingConfig(sweeps=0))
SMALL = HEIGHT // 2, WIDTH // 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Frames, and masks of all of them."""
    return write_video(tmp_path_factory.mktemp("video"))


NOT_SPREAD = StrokesConfig(spread=False)


def opened(files: tuple[Path, Path], run_dir: Path, *, evidence: EvidenceConfig = NONE, **more: object) -> OneVideo:
    """At half the video's height. more: settings of data, or of the task."""
    names = set(vars(DataConfig())) - {"objects"}  # those of a network, here
    data = {"height": SMALL[0]} | {key: value for key, value in more.items() if key in names}
    rest = {"guidance": GuidanceConfig()} | {key: value for key, value in more.items() if key not in names}
    config = DataConfig(video=str(files[0]), masks=str(files[1]), **data)  # type: ignore[arg-type]
    sees = bool(rest.get("sees_evidence", True))
    read = read_one_video(config, folder=run_dir, evidence=evidence, sees_evidence=sees)
    objects = rest.pop("objects", Objects()).with_those_of(read.told)  # type: ignore[attr-defined]
    kept = {"store": FlowStore(), "cache": EvidenceCache(None)}
    return open_one_video(read, config, objects=objects, evidence=evidence, **kept, **rest)  # type: ignore[arg-type]


def relabelled(files: tuple[Path, Path], folder: Path, labels: dict[int, int]) -> tuple[Path, Path]:
    """The same video, with masks of other frames: frame -> the label of its square."""
    for frame, label in labels.items():
        mask = read_mask(files[1] / f"{frame:05d}.png", "davis2017")
        write_mask(folder / "masks" / f"{frame:05d}.png", mask * np.uint8(label))
    return files[0], folder / "masks"


def network(task: OneVideo) -> RevSegNet:
    torch.manual_seed(0)
    return RevSegNet(channels=2, levels=1, depth=1, rank=3, classes=task.classes, evidence=task.sees_evidence).eval()


# What is trained on


def test_labels_that_are_held_out_are_not_trained_on(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened(files, tmp_path, labelled_frames=3)
    assert task.item(5).labelled_frames == task.video.labelled_frames == (0, 4, 7)
    assert task.label_count == 3
    assert task.held_out is not None
    assert task.held_out.labelled_frames == (1, 2, 3, 5, 6)
    assert (task.held_out.height, task.held_out.width) == (task.video.height, task.video.width) == SMALL
    assert task.held_out.volume is task.video.volume
    assert task.largest() == ((FRAMES, *SMALL), 3)


def test_nothing_is_held_out(files: tuple[Path, Path], tmp_path: Path) -> None:
    few = relabelled(files, tmp_path, {0: 1, 4: 1})
    assert opened(few, tmp_path).held_out is None
    assert opened(few, tmp_path).video.labelled_frames == (0, 4)
    with pytest.raises(ValueError, match=r"data.labelled_frames"):
        opened(few, tmp_path, labelled_frames=3)


def test_without_evidence_a_step_sees_the_video_as_it_is(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened(files, tmp_path, labelled_frames=2)
    item = task.item(0)
    assert not task.sees_evidence
    assert task.guidance is item.evidence is None
    assert item.volume.equal(task.video.volume)
    assert item.labels.equal(task.video.labels)


def test_the_network_is_given_all_that_is_known(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Labels that are held out are part of neither what is shown nor what is asked for."""
    settings = {"evidence": EVIDENCE, "labelled_frames": 3, "classes": 3, "guidance": GuidanceConfig(pseudo_frames=2), "seed": 5}
    task = opened(files, tmp_path, **settings)
    assert task.sees_evidence
    assert task.guidance is not None
    assert task.guidance.seed == 5
    assert task.observation.inputs.shape == (3 + 3 + 1, FRAMES, *SMALL)
    item = task.item(0)
    assert item.evidence is not None
    assert item.evidence.planes().shape == (4, FRAMES, *SMALL)
    assert task.largest() == ((FRAMES, *SMALL), 3 + 2)
    assert len(item.labelled_frames) == 3 + 2
    others = relabelled(files, tmp_path, {frame: 1 if frame in (0, 4, 7) else 2 for frame in range(FRAMES)})
    assert torch.equal(opened(others, tmp_path, **settings).observation.inputs, task.observation.inputs)


@pytest.mark.parametrize(
    ("more", "steps"),
    [
        ({"evidence": EVIDENCE}, 8),  # an eighth of 60
        ({"evidence": EVIDENCE, "window": FRAMES}, 8),
        ({"evidence": EVIDENCE, "window": FRAMES - 1}, 15),  # the new label may lie outside
        ({"evidence": EVIDENCE, "sees_evidence": False}, 15),
        ({}, 15),
    ],
)
def test_a_later_round_takes_fewer_steps_where_each_is_shown_all(
    more: dict, steps: int, files: tuple[Path, Path], tmp_path: Path
) -> None:
    task = opened(files, tmp_path, labelled_frames=3, **more)
    together = SeveralVideos({"a": replace(task, window=None), "b": task})
    for share in (task.finetune_share, together.finetune_share):
        assert TrainingConfig(steps=60).steps_of_later_rounds(share) == steps
        assert TrainingConfig(steps=1).steps_of_later_rounds(share) == 1
        assert TrainingConfig(steps=60, finetune_steps=3).steps_of_later_rounds(share) == 3


def test_the_key_of_labels_is_of_what_is_trained_on(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Neither what they are measured with nor the file matters; a pixel does."""
    key = opened(files, tmp_path, labelled_frames=3).labels_key
    others = relabelled(files, tmp_path, {frame: 1 if frame in (0, 4, 7) else 2 for frame in range(FRAMES)})
    assert opened(others, tmp_path, labelled_frames=3).labels_key == key
    assert opened(files, tmp_path, labelled_frames=2).labels_key != key
    mask = read_mask(others[1] / "00004.png", "davis2017")
    mask[0, 0] = 1 - mask[0, 0]
    write_mask(others[1] / "00004.png", mask)
    assert opened(others, tmp_path, labelled_frames=3).labels_key != key


def test_a_network_may_see_pictures_alone_of_a_video_that_is_smoothed(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened(files, tmp_path, evidence=EVIDENCE, labelled_frames=3, sees_evidence=False)
    assert not task.sees_evidence
    assert task.observation.inputs.shape == (3, FRAMES, *SMALL)
    assert task.item(0).evidence is None
    assert task.observation.evidence is None
    assert task.observation.flow is not None


def test_evidence_is_found_at_the_size_of_the_flow(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened(files, tmp_path, evidence=EVIDENCE, labelled_frames=2)
    assert task.observation.evidence is not None
    assert task.observation.evidence.size == (HEIGHT, WIDTH)
    assert task.observation.fixed == task.video.labelled_frames
    one = opened(files, tmp_path, evidence=EVIDENCE, labelled_frames=1)
    assert [returned.frames for returned in one.observation.returned] == [len(GuidanceConfig().shares_of_one)]


def test_classes_are_as_many_as_there_are_objects(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Those that are held out count too: they are measured. Holes between ids do not. Fewer are refused."""
    assert opened(files, tmp_path).classes == 2
    others = relabelled(files, tmp_path, {0: 1, 3: 254, 7: 1})
    task = opened(others, tmp_path, labelled_frames=2)
    assert (task.classes, task.objects.ids, task.shown) == (3, (1, 254), (1, 2))
    assert opened(others, tmp_path, classes=7).classes == 7
    with pytest.raises(
        ValueError, match=r"show object 1, 254, but network.classes=2 has room for 1; train with network.classes=3"
    ):
        opened(others, tmp_path, classes=2)


def test_classes_of_a_run_that_is_resumed_stay(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Another label shows an object of a smaller id: the classes that the network has learned are not those of others now."""
    task = opened(relabelled(files, tmp_path, {0: 7, 3: 4}), tmp_path, objects=Objects((7,)))
    assert (task.classes, task.objects.ids) == (3, (7, 4))
    assert [task.video.masks[row].unique().tolist() for row in (0, 1)] == [[0, 1], [0, 2]]


def test_an_object_that_vanishes_is_told(files: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask = read_mask(files[1] / "00000.png", "davis2017")
    mask[0, 0] = 2
    write_mask(tmp_path / "masks" / "00000.png", mask)
    with caplog.at_level(logging.WARNING, logger="revseg"):
        opened((files[0], tmp_path / "masks"), tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        "object 2, which has 1 pixels in frame 00000, vanishes there at data.height=10, where the network sees it; data.height="
        "11 keeps it"
    ]


# What is left behind


@pytest.fixture(scope="module")
def finished(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[OneVideo, dict, Path]:
    run_dir = tmp_path_factory.mktemp("run")
    task = opened(files, run_dir, evidence=EVIDENCE, labelled_frames=3)
    return task, task.finish(network(task), run_dir / "predictions").metrics, run_dir / "predictions"


def test_masks_have_the_size_of_the_video_and_labelled_frames_their_labels(
    finished: tuple[OneVideo, dict, Path], files: tuple[Path, Path]
) -> None:
    task, metrics, folder = finished
    masks = [read_mask(folder / "masks" / f"{frame:05d}.png", "davis2017") for frame in range(FRAMES)]
    assert {mask.shape for mask in masks} == {(HEIGHT, WIDTH)}
    for frame in task.video.labelled_frames:
        assert np.array_equal(masks[frame], read_mask(files[1] / f"{frame:05d}.png", "davis2017"))
    assert metrics["labelled"] == {"J": 1.0, "F": 1.0, "JF": 1.0}
    assert json.loads((folder / "prediction.json").read_text())["labelled_frames"] == [0, 4, 7]


def test_ids_with_holes_come_out_and_labels_are_kept_thinner_than_a_pixel(files: tuple[Path, Path], tmp_path: Path) -> None:
    truth = relabelled(files, tmp_path, {0: 254, 4: 254, 7: 7})[1]
    for path in truth.iterdir():
        mask = read_mask(path, "davis2017")
        mask[:, 28], mask[19, ::2] = 254, 7
        write_mask(path, mask)
    task = opened((files[0], truth), tmp_path, evidence=replace(EVIDENCE, flow=FlowConfig(height=10, least_height=2 * HEIGHT)))
    assert task.observation.evidence is not None
    assert task.observation.evidence.size == SMALL
    task.finish(network(task), tmp_path / "predictions")
    for path in truth.iterdir():
        assert np.array_equal(
            read_mask(tmp_path / "predictions" / "masks" / path.name, "davis2017"), read_mask(path, "davis2017")
        )
    for path in (tmp_path / "predictions" / "masks").iterdir():
        assert set(np.unique(read_mask(path, "davis2017"))) <= {0, 7, 254}


def test_results_of_another_video_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened(files, tmp_path)
    task.check_output(tmp_path / "predictions")
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "prediction.json").write_text('{"video": "/a/film.mp4", "sha256": "0"}')
    with pytest.raises(ValueError, match=r"predictions holds the masks of /a/film\.mp4, which is not"):
        task.check_output(tmp_path / "predictions")


def test_what_is_measured(finished: tuple[OneVideo, dict, Path]) -> None:
    task, metrics, folder = finished
    assert metrics["objects"] == {"1": {key: metrics[key] for key in ("J", "F", "JF", "volume_J")}}
    assert metrics["JF"] == pytest.approx((metrics["J"] + metrics["F"]) / 2)
    assert metrics["J"] > metrics["baseline"]["J"] > 0  # the labels move with the square
    assert metrics["labelled_frames"] == [0, 4, 7]
    expected = json.loads((folder / "prediction.json").read_text())["expected_J"]
    others = [frame for frame in range(FRAMES) if frame not in (0, 4, 7)]
    assert metrics["expected_J"] == pytest.approx(np.mean([expected[frame] for frame in others]))
    assert set(metrics["label_next"]) <= {f"{frame:05d}" for frame in others}
    assert len(metrics["label_next"]) == 2  # one in each stretch


def test_where_all_labels_are_trained_on_no_truth_is_left_to_measure(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened(files, tmp_path)
    result = task.finish(network(task), tmp_path / "predictions")
    assert [result.metrics[key] for key in ("J", "F", "JF", "objects", "baseline", "expected_J")] == [None] * 6
    assert result.metrics["label_next"] == []
    assert result.metrics["labelled"]["JF"] >= 0
    assert result.objective is None
    assert set(result.evaluation.scalars) == {"labelled/J", "labelled/F", "labelled/JF"}


def test_an_evaluation_is_of_the_network_alone(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The label that is carried along is not pooled with: a network that says background is measured so."""
    task = opened(files, tmp_path, evidence=EVIDENCE, labelled_frames=3)
    net = network(task)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.copy_(torch.tensor([5.0, -5.0]))
    found = task.evaluate(net)
    assert {name.split("/")[0] for name in found.scalars} == {"network alone"}
    assert {name.split("/")[1] for name in found.scalars} == {"labelled", "held_out"}
    assert found.scalars["network alone/held_out/J"] == found.scalars["network alone/labelled/J"] == 0
    assert len(found.pictures) == 4
    assert {picture.shape for picture in found.pictures.values()} == {(SMALL[0] + 4, 3 * (SMALL[1] + 4), 3)}


def test_built_of_an_observation(files: tuple[Path, Path], tmp_path: Path) -> None:
    """What the task needs is in its fields: no file is read again."""
    task = opened(files, tmp_path, labelled_frames=2)
    built = OneVideo(Observation(task.video), None, Objects((1,)), shown=(1,), classes=2, evidence=NONE, guidance=None)
    assert built.item(0).labels.equal(task.item(0).labels)
    assert built.largest() == task.largest()
    assert built.segmenter().label_count == 2


# Labels of a few pixels, and truth in a file of its own


def sparse(folder: Path) -> Path:
    """Labels of the square's row 6 in all frames, all else unknown."""
    labels = np.full((FRAMES, HEIGHT, WIDTH), 255, np.uint8)
    for frame in range(FRAMES):
        labels[frame, 6], labels[frame, 6, 3 + 2 * frame : 11 + 2 * frame] = 0, 1
    np.save(folder / "labels.npy", labels)
    return folder / "labels.npy"


def test_labels_of_a_few_pixels(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = opened((files[0], sparse(tmp_path)), tmp_path, height=None)
    assert task.video.labelled_frames == tuple(range(FRAMES))
    assert task.video.whole_frames == ()
    assert task.item(0).labels.equal(task.video.masks)
    metrics = task.finish(network(task), tmp_path / "predictions").metrics
    assert set(metrics["labelled"]) == {"J"}
    assert metrics["expected_J"] is not None  # no frame has its mask
    assert metrics["label_next"] == []
    with pytest.raises(ValueError, match=r"set experiment=volume or evidence=none"):
        opened((files[0], tmp_path / "labels.npy"), tmp_path, height=None, evidence=replace(EVIDENCE, strokes=NOT_SPREAD))


def test_truth_is_measured_without_what_is_trained_on(files: tuple[Path, Path], tmp_path: Path) -> None:
    labels = sparse(tmp_path)
    task = opened((files[0], labels), tmp_path, height=None, truth=str(files[1]))
    truth = np.stack([read_mask(files[1] / f"{frame:05d}.png", "davis2017") for frame in range(FRAMES)])
    assert task.held_out is not None
    assert np.array_equal(task.held_out.labels.numpy(), np.where(np.load(labels) == 255, truth, 255))
    metrics = task.finish(network(task), tmp_path / "predictions").metrics
    assert metrics["baseline"] is None
    assert metrics["objects"]["1"]["volume_J"] == metrics["volume_J"]
    assert {"J", "F", "JF"} <= set(metrics["objects"]["1"])


def test_truth_may_show_more_objects(files: tuple[Path, Path], tmp_path: Path) -> None:
    truth = relabelled(files, tmp_path, {3: 4})
    task = opened((files[0], sparse(tmp_path)), tmp_path, truth=str(truth[1]))
    assert (task.classes, task.objects.ids, task.shown) == (3, (1, 4), (1, 2))
    assert task.held_out is not None
    assert task.held_out.labelled_frames == (3,)
