"""scripts/check_largest.py: what revseg-plan names as the most trains in a real control group, and much more is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from check_largest import largest_train, named, within
from long_video import looped
from PIL import Image

from tests.scripts.groups import needs_control_groups

pytestmark = [pytest.mark.slow, needs_control_groups]

HEIGHT, WIDTH, FRAMES = 120, 160, 2400
SETTINGS = ["evidence=none", "data.height=120", "device=cpu", "data.encoding=davis2016", "data.decoder=inline"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings for a long video, whose first frame is labelled."""
    root = tmp_path_factory.mktemp("davis")
    pictures, masks = (root / kind / "480p" / "square" for kind in ("JPEGImages", "Annotations"))
    for folder in (pictures, masks):
        folder.mkdir(parents=True)
    for frame in range(4):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[30:70, 40 + 10 * frame : 90 + 10 * frame] = 255
        Image.fromarray(mask).save(masks / f"{frame:05d}.png")
        Image.fromarray(np.stack([mask, mask // 2, mask // 3], 2)).save(pictures / f"{frame:05d}.jpg")
    video = looped(root, "square", FRAMES, every=FRAMES, folder=root / "video")
    return [f"data.video={video / 'frames'}", f"data.masks={video / 'labels'}", *SETTINGS]


def test_the_most_that_is_named_trains(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = largest_train(640 << 20, words, tmp_path, most=FRAMES)
    said = capsys.readouterr().out
    assert good, said
    assert re.search(r"^\d+ frames: status 1, 0 killed revseg: \d+ frames of 160 x 120 need .* set ", said, re.MULTILINE), said


def test_more_memory_never_names_fewer(words: list[str]) -> None:
    frames, lines = [], []
    for megabytes in (600, 640, 700, 800):
        planned = within(megabytes << 20, "plan", *words, "data.max_frames=8")
        found = named(planned.text)
        assert found is not None, planned.text
        frames.append(found[0])
        lines.append(found[1])
    assert frames == sorted(frames)
    assert lines == sorted(lines)
    assert frames[0] < frames[-1]
