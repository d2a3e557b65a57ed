"""The demo is a real video, the same every time, and cannot be solved by colour or by standing still."""

import numpy as np
import pytest

from revseg.labels.dataset import classes_of, evenly_spaced, load_own
from revseg.labels.masks import read_mask
from revseg.tasks.demo import Scene, generate_demo
from revseg.video.read import read_video


def test_what_is_written(tmp_path):
    video, masks = generate_demo(tmp_path / "demo", frames=5, height=48, width=81, objects=2)
    sample = load_own(video, masks, "davis2017")
    assert sample.volume.shape == (3, 5, 48, 81)
    assert sample.labelled_frames == (0, 1, 2, 3, 4)
    assert classes_of(sample.labels) == 3
    assert sample.frame_rate == 24


def test_deterministic(tmp_path):
    one, two, other = (generate_demo(tmp_path / str(i), 2, 32, 48, seed=i // 2) for i in range(3))
    assert one[0].read_bytes() == two[0].read_bytes()
    assert (one[1] / "00001.png").read_bytes() == (two[1] / "00001.png").read_bytes()
    assert not (read_video(one[0]).volume == read_video(other[0]).volume).all()
    assert (read_mask(one[1] / "00001.png", "davis2017") != read_mask(other[1] / "00001.png", "davis2017")).any()


def test_sizes_show_the_same_scene():
    """The mask is that of pixel centres, so a fine one seen at every third pixel is the coarse one."""
    coarse, fine = (Scene(np.random.default_rng(0), 1).render(0.5, size, 2 * size)[1] for size in (30, 90))
    assert (fine[1::3, 1::3] == coarse).all()


@pytest.mark.parametrize("setting", ["frames", "height", "width", "objects"])
def test_nonsense(tmp_path, setting):
    with pytest.raises(ValueError, match=f"{setting} of the demo is 0: give 1 or more"):
        generate_demo(tmp_path, **{setting: 0})


def J(prediction, truth):
    return (prediction & truth).sum() / (prediction | truth).sum()


def test_not_trivial():
    """Neither the best guess from colour alone nor the nearest of four labels comes near J 0.85."""
    scene = Scene(np.random.default_rng(0), 1)
    frames, masks = zip(*(scene.render(t / 12, 48, 80) for t in range(24)), strict=True)
    truth, known = np.stack(masks) > 0, list(evenly_spaced(24, 4))
    colour = np.stack(frames).astype(int) // 16 @ (256, 16, 1)
    counts = [np.bincount(colour[known][truth[known] == side], minlength=4096) + 0.5 for side in (False, True)]
    by_colour = (counts[1] > counts[0])[colour]
    others = sorted(set(range(24)) - set(known))
    nearest = [min(known, key=lambda frame: abs(frame - other)) for other in others]
    assert np.mean([J(by_colour[i], truth[i]) for i in others]) < 0.75
    assert np.mean([J(truth[i], truth[n]) for i, n in zip(others, nearest, strict=True)]) < 0.65
    assert 0.05 < truth.mean() < 0.3
