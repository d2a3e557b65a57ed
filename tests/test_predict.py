"""revseg-predict from the command line to masks and overlay."""

import json
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from revseg import RevSegNet
from revseg.cli.main import predict as main
from revseg.labels.palette import PASCAL_PALETTE
from revseg.runs.lock import locked
from revseg.training.checkpoint import Checkpoint, save
from revseg.video.read import read_video
from revseg.video.write import VideoWriter
from tests import little

pytestmark = pytest.mark.slow

FRAMES, HEIGHT, WIDTH = 7, 34, 51
TIMES = [Fraction(n, 30) for n in (0, 1, 2, 5, 6, 9, 10)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Of odd width and of a frame rate that varies."""
    path = tmp_path / "video.mp4"
    random = np.random.default_rng(0)
    with VideoWriter(path, 30) as writer:
        for seconds in TIMES:
            writer.write(random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8), seconds)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of an untrained network, in a run folder."""
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3)
    torch.nn.init.normal_(net.head.weight)
    path = tmp_path / "runs" / "old" / "checkpoints" / "last.pt"
    save(Checkpoint(net.config, net.state_dict(), optimizer={}, step=5, seconds=1.0, height=16), path)
    return path


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Called as from a shell in the folder that holds `runs`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["revseg-predict", "device=cpu", "evidence.flow.least_height=40", *arguments])
        main()

    return call


def test_a_run_stands_for_its_last_checkpoint(predict, video: Path, checkpoint: Path, capsys) -> None:
    predict(str(video), "checkpoint=runs/old")
    assert f"checkpoint: {Path('runs/old/checkpoints/last.pt')} (step 5)" in capsys.readouterr().out


def refusal(predict, capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        predict(*arguments)
    assert stop.value.code == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


def test_masks_and_overlay(predict, video: Path, checkpoint: Path, capsys) -> None:
    predict(str(video))
    assert f"checkpoint: {Path('runs/old/checkpoints/last.pt')} (step 5)" in capsys.readouterr().out
    output = Path("predictions/video")
    masks = sorted((output / "masks").iterdir())
    assert [path.name for path in masks] == [f"{index:05d}.png" for index in range(FRAMES)]
    with Image.open(masks[0]) as image:
        assert (image.mode, image.size) == ("P", (WIDTH, HEIGHT))
        assert image.getpalette() == PASCAL_PALETTE.ravel().tolist()
    overlay = read_video(output / "overlay.mp4")
    assert overlay.volume.shape == (3, FRAMES, HEIGHT, WIDTH)
    assert [float(seconds) for seconds in overlay.timestamps] == pytest.approx(TIMES, abs=1e-4)
    with av.open(str(output / "overlay.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize("name", ["a b.mp4", "a=b, c.mp4", "it's [x] {ü} ${y}.mp4", "-x.mp4"])
def test_names(name: str, predict, video: Path, checkpoint: Path) -> None:
    video.rename(video.parent / name)
    predict("--", name) if name.startswith("-") else predict(name)
    assert len(list(Path("predictions", Path(name).stem, "masks").iterdir())) == FRAMES


def test_newest_run_is_the_default(predict, video: Path, checkpoint: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(tmp_path / "runs" / "old", tmp_path / "runs" / "new")
    (tmp_path / "runs" / "new" / "checkpoints" / "last.pt").touch()
    predict(str(video))
    assert str(Path("runs/new/checkpoints/last.pt")) in capsys.readouterr().out


def test_height_placements_and_smoothing_change_the_masks(predict, video: Path, checkpoint: Path) -> None:
    for name, setting in (
        ("trained", "data.height=16"),
        ("default", "data.height=null"),
        ("more", "data.height=34"),
        ("mean", "placements=4"),
        ("alone", "evidence.smoothing.sweeps=0"),
    ):
        predict(str(video), f"output={name}", setting)

    def masks(name: str) -> np.ndarray:
        return np.stack([np.array(Image.open(path)) for path in sorted(Path(name, "masks").iterdir())])

    assert np.array_equal(masks("trained"), masks("default"))
    assert not np.array_equal(masks("trained"), masks("more"))
    assert not np.array_equal(masks("trained"), masks("mean"))
    assert not np.array_equal(masks("trained"), masks("alone"))


def test_shorter_video_into_the_same_folder(predict, video: Path, checkpoint: Path) -> None:
    predict(str(video), "output=out")
    predict(str(video), "output=out", "data.max_frames=3")
    assert len(list(Path("out/masks").iterdir())) == 3
    assert read_video("out/overlay.mp4").volume.shape[1] == 3


def test_folder_of_frames_keeps_its_names(predict, checkpoint: Path) -> None:
    Path("frames").mkdir()
    for name in ("b7", "b8"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(f"frames/{name}.png")
    predict("frames")
    assert sorted(path.name for path in Path("predictions/frames/masks").iterdir()) == ["b7.png", "b8.png"]


def test_folders_are_named_whole(predict, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.film.v2").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save("my.film.v2/00000.png")
    predict("my.film.v2/")
    assert Path("predictions/my.film.v2/masks/00000.png").exists()
    monkeypatch.chdir("my.film.v2")
    predict(".", "checkpoint=../runs/old", "data.on_error=skip")
    assert Path("predictions/my.film.v2/masks/00000.png").exists()


def test_another_video_of_the_same_name_is_refused(predict, video: Path, checkpoint: Path, capsys) -> None:
    predict(str(video))
    before = {path: path.read_bytes() for path in Path("predictions").rglob("*") if path.is_file()}
    Path("usb").mkdir()
    with VideoWriter("usb/video.mp4") as writer:
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    sentence = refusal(predict, capsys, "usb/video.mp4")
    assert f"predictions/video holds the masks of {video}, which is not usb/video.mp4 as it is now" in sentence
    assert {path: path.read_bytes() for path in Path("predictions").rglob("*") if path.is_file()} == before


def test_one_process_at_a_time_works_in_a_folder(predict, video: Path, checkpoint: Path, capsys) -> None:
    """The second is refused before it writes anything, also by the run that the folder lies in."""
    with locked(Path("out"), purpose="revseg-predict"):
        assert "revseg: out is in use by process" in refusal(predict, capsys, str(video), "output=out")
        assert [path.name for path in Path("out").iterdir()] == [".lock"]
    Path("runs/old/config.yaml").touch()
    with locked(Path("runs/old"), purpose="revseg-train"):
        sentence = refusal(predict, capsys, str(video), "output=runs/old/predictions")
        assert "runs/old is in use by process" in sentence
        assert "(revseg-train, since" in sentence
        assert sentence.endswith("wait for it, or choose another output=")
        assert not Path("runs/old/predictions").exists()
        predict(str(video), "output=out")  # with the checkpoint of a run at work


def test_labels_of_the_user_are_not_overwritten(predict, video: Path, checkpoint: Path, capsys) -> None:
    Path("mine/masks").mkdir(parents=True)
    Path("mine/masks/00000.png").write_bytes(b"drawn by hand")
    assert "choose another folder with output=" in refusal(predict, capsys, str(video), "output=mine")
    assert Path("mine/masks/00000.png").read_bytes() == b"drawn by hand"
    assert sorted(path.name for path in Path("mine").iterdir()) == ["masks"]


def test_the_video_itself_is_not_overwritten(predict, video: Path, checkpoint: Path, capsys) -> None:
    predict(str(video), "output=out")
    before = Path("out/overlay.mp4").read_bytes()
    assert "lies where the prediction goes" in refusal(predict, capsys, "out/overlay.mp4", "output=out")
    assert Path("out/overlay.mp4").read_bytes() == before


def test_bad_input(predict, video: Path, checkpoint: Path, capsys, tmp_path: Path) -> None:
    assert "missing.mp4 does not exist" in refusal(predict, capsys, "missing.mp4")
    assert "not a revseg checkpoint" in refusal(predict, capsys, str(video), f"checkpoint={video}")
    assert "there.pt: No such file" in refusal(predict, capsys, str(video), "checkpoint=there.pt")
    assert "runs is a folder without checkpoints/last.pt; give" in refusal(predict, capsys, str(video), "checkpoint=runs")
    Path("file").touch()
    assert "cannot write file/out" in refusal(predict, capsys, str(video), "output=file/out")
    assert "placements is 0" in refusal(predict, capsys, str(video), "placements=0")
    assert "evidence.smoothing.sweeps is -1" in refusal(predict, capsys, str(video), "evidence.smoothing.sweeps=-1")
    assert "device is gpu" in refusal(predict, capsys, str(video), "device=gpu")
    Path("cut.mp4").write_bytes(video.read_bytes()[:300])
    assert "cut.mp4" in refusal(predict, capsys, "cut.mp4")
    assert not Path("predictions").exists()


def test_no_run(predict, video: Path, capsys) -> None:
    assert "train first (revseg-train), or give checkpoint= a run's folder, or a file" in refusal(predict, capsys, str(video))


@pytest.fixture
def guided(tmp_path: Path) -> Path:
    """Checkpoint of an untrained guided network: its masks are what evidence says."""
    return save_guided(tmp_path / "guided.pt", label_count=2)


def save_guided(path: Path, label_count: int | None) -> Path:
    torch.manual_seed(0)
    net = RevSegNet(channels=2, classes=3, levels=1, depth=1, rank=3, evidence=True)
    saved = Checkpoint(net.config, net.state_dict(), {}, step=0, seconds=0.0, height=little.HEIGHT, label_count=label_count)
    save(saved, path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Folder of a video of two objects in frames/, the first and the last labelled in masks/."""
    _, masks = little.write_video(tmp_path / "little", objects=2)
    masks.rename(tmp_path / "little" / "truth")
    masks.mkdir()
    for index in (0, little.FRAMES - 1):
        shutil.copy(tmp_path / "little" / "truth" / f"{index:05d}.png", masks)
    return tmp_path / "little"


def iou(folder: Path, truth: Path, number: int) -> list[float]:
    """Of an object in every frame."""
    values = []
    for path in sorted(truth.iterdir()):
        one, other = (np.array(Image.open(name)) == number for name in (folder / path.name, path))
        values.append((one & other).sum() / (one | other).sum())
    return values


def test_masks_of_some_frames_are_carried_along(predict, guided: Path, labels: Path, capsys) -> None:
    predict(str(labels / "frames"), f"data.masks={labels / 'masks'}", f"checkpoint={guided}", "output=out")
    for number in (1, 2):
        assert min(iou(Path("out/masks"), labels / "truth", number)) > 0.6
    for index in (0, little.FRAMES - 1):
        found, given = (np.array(Image.open(folder / f"{index:05d}.png")) for folder in (Path("out/masks"), labels / "masks"))
        assert np.array_equal(found, given)
    expected = json.loads(Path("out/prediction.json").read_text())["expected_J"]
    assert min(expected) == pytest.approx(min(expected[1:-1]))
    worst = int(np.argmin(expected))
    assert f"frames to label next, for data.masks=: {worst:05d}\n" in capsys.readouterr().out


def test_labels_stay_what_they_are_in_every_format(predict, guided: Path, labels: Path) -> None:
    given = [f"data.masks={labels / 'masks'}", f"checkpoint={guided}", "output=out", "output.each_object=true"]
    predict(str(labels / "frames"), *given, "output.formats=alpha,coco,probabilities")
    assert sorted(path.name for path in Path("out").iterdir() if not path.name.startswith(".")) == [
        "alpha",
        "alpha_1",
        "alpha_2",
        "coco.json",
        "masks",
        "prediction.json",
        "probabilities.npy",
    ]
    probabilities = np.load("out/probabilities.npy")
    for index in (0, little.FRAMES - 1):
        mask = np.array(Image.open(labels / "masks" / f"{index:05d}.png"))
        assert np.array_equal(probabilities[index].argmax(0), mask)
        alphas = {part: np.array(Image.open(f"out/alpha{part}/{index:05d}.png"))[..., 3] for part in ("", "_1", "_2")}
        assert np.array_equal(alphas[""] >= 128, mask > 0)
        assert all(np.array_equal(alphas[f"_{number}"] >= 128, mask == number) for number in (1, 2))
    between = np.array(Image.open("out/alpha/00004.png"))[..., 3]
    assert ((between > 0) & (between < 255)).any()


def test_ids_of_labels_come_out_and_thin_labels_stay(predict, guided: Path, labels: Path) -> None:
    """Labels are carried at half the height of the video: a line is thinner than a pixel of that."""
    for path in (labels / "masks").iterdir():
        mask = np.array([0, 254, 7], np.uint8)[np.array(Image.open(path))]
        mask[:, 1] = 7
        Image.fromarray(mask).save(path)
    given = [f"data.masks={labels / 'masks'}", f"checkpoint={save_guided(Path('many.pt'), None)}", "output=out"]
    predict(str(labels / "frames"), *given, "data.height=10", "evidence.flow.height=10")
    for path in (labels / "masks").iterdir():
        assert np.array_equal(*(np.array(Image.open(folder / path.name)) for folder in (Path("out/masks"), labels / "masks")))
    assert {tuple(np.unique(np.array(Image.open(path)))) for path in Path("out/masks").iterdir()} == {(0, 7, 254)}


def test_a_guided_network_predicts_without_masks(predict, guided: Path, labels: Path) -> None:
    predict(str(labels / "frames"), f"checkpoint={guided}", "output=out")
    assert len(list(Path("out/masks").iterdir())) == little.FRAMES
    assert max(iou(Path("out/masks"), labels / "truth", 1)) < 0.6


def test_a_network_of_many_videos_is_shown_what_moves(predict, guided: Path, labels: Path, tmp_path: Path) -> None:
    many = save_guided(tmp_path / "many.pt", None)
    for name, checkpoint in (("many", many), ("one", guided)):
        predict(str(labels / "frames"), f"checkpoint={checkpoint}", f"output={name}")
    found = [np.stack([np.array(Image.open(path)) for path in sorted(Path(name, "masks").iterdir())]) for name in ("many", "one")]
    assert not np.array_equal(*found)  # the same weights: only one of them sees motion
    predict(str(labels / "frames"), f"checkpoint={many}", "output=out")
    assert len(list(Path("out/masks").iterdir())) == little.FRAMES
    predict(str(labels / "frames"), f"data.masks={labels / 'masks'}", f"checkpoint={many}", "output=out")
    assert min(iou(Path("out/masks"), labels / "truth", 1)) > 0.6


def test_masks_are_read_as_the_video_is(predict, guided: Path, labels: Path) -> None:
    """At the network's height, of the first frames, and in the encoding that is given."""
    for path in (labels / "masks").iterdir():
        Image.fromarray(np.where(np.array(Image.open(path)) == 1, np.uint8(255), np.uint8(0))).save(path)
    settings = ["data.height=10", "data.max_frames=5", "data.encoding=davis2016", f"checkpoint={guided}", "output=out"]
    predict(str(labels / "frames"), f"data.masks={labels / 'masks'}", *settings)
    assert len(list(Path("out/masks").iterdir())) == 5
    found, given = (np.array(Image.open(folder / "00000.png")) > 0 for folder in (Path("out/masks"), labels / "masks"))
    assert found.shape == (little.HEIGHT, little.WIDTH)
    assert (found & given).sum() > 0.7 * (found | given).sum()


def test_masks_that_are_of_no_use(predict, checkpoint: Path, guided: Path, labels: Path, capsys) -> None:
    given = [str(labels / "frames"), f"data.masks={labels / 'masks'}", "output=out"]
    sentence = refusal(predict, capsys, *given)
    assert "is of no use to" in sentence
    assert "whose network sees no evidence; leave it out" in sentence
    assert "folder of masks nowhere does not exist" in refusal(
        predict, capsys, given[0], "data.masks=nowhere", f"checkpoint={guided}", "output=out"
    )
    third = np.array(Image.open(labels / "masks" / "00000.png"))
    third[0, 0] = 3
    Image.fromarray(third).save(labels / "masks" / "00000.png")
    assert "show object 1, 2, 3, but network.classes=3 has room for 2; train with" in refusal(
        predict, capsys, *given, f"checkpoint={guided}"
    )
    assert not Path("out").exists()
