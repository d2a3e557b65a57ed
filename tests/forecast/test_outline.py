"""The outline of a run, told by headers and labels, is that of the task once it is open."""

from pathlib import Path

import av
import numpy as np
import pytest
from harness.settings import compose

from revseg.config import TrainConfig
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.store import FlowStore
from revseg.forecast.outline import Outline, outline_of
from revseg.launch.task import open_task
from revseg.runs.folder import RunFolder
from tests.little import FRAMES, HEIGHT, WIDTH, arguments, write_video

pytestmark = pytest.mark.slow


def opened(config: TrainConfig, folder: Path) -> Outline:
    task = open_task(config, RunFolder.create(folder), store=FlowStore(folder, keep=False), cache=EvidenceCache(None))
    return Outline.of(task)


@pytest.mark.parametrize(
    "more",
    [(), ("data.max_frames=5",), ("data.start=1", "data.every=2"), ("data.labelled_frames=1", "network.classes=4")],
)
def test_it_is_that_of_the_open_task(tmp_path: Path, more: tuple[str, ...]) -> None:
    write_video(tmp_path, objects=2)
    config = compose([*arguments(tmp_path, tmp_path / "run"), "evidence=none", *more])
    found = outline_of(config, labels=True)
    assert found == opened(config, tmp_path / "run")
    assert found.classes == (4 if more and "classes" in more[-1] else 3)


def test_a_file_is_counted_where_its_container_does_not_say(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_video(tmp_path)
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        for _ in range(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode())
    config = compose([f"data.video={path}", f"data.masks={tmp_path / 'masks'}", "data.labelled_frames=2"])
    assert outline_of(config, labels=False) is None
    found = outline_of(config, labels=True)
    assert found is not None
    assert (found.footage.frames, found.labelled_frames) == (FRAMES, (0, FRAMES - 1))
    assert "does not say how many frames" in caplog.text


def test_without_labels_as_few_as_can_be_are_assumed(tmp_path: Path) -> None:
    write_video(tmp_path, objects=2)
    config = compose([f"data.video={tmp_path / 'frames'}"])
    found = outline_of(config, labels=True)
    assert found is not None
    assert found.assumed
    assert (found.classes, len(found.labelled_frames), found.footage.native_size) == (2, 1, (HEIGHT, WIDTH))
