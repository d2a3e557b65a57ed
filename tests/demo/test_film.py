"""The demo is a film, the same every time, with true masks, and standing still does not solve it."""

import cv2
import numpy as np
import pytest

from revseg.demo import film as module
from revseg.demo.film import FRAME_RATE, Camera, Scene, film, generate_demo
from revseg.labels.dataset import classes_of, evenly_spaced, load_own
from revseg.labels.masks import read_mask

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 120, 213


@pytest.fixture(scope="module")
def scene():
    return Scene(np.random.default_rng(7))


@pytest.fixture
def built(scene, monkeypatch):
    """The scene is built once for all tests, which saves seconds."""
    monkeypatch.setattr(module, "Scene", lambda generator: scene)


@pytest.fixture(scope="module")
def frames(scene):
    """All frames in half the size, and their masks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Scene", lambda generator: scene)
        pictures, masks = zip(*film(36, HEIGHT, WIDTH), strict=True)
    return np.stack(pictures), np.stack(masks) > 0


def test_what_is_written(tmp_path, built):
    video, masks = generate_demo(tmp_path / "demo", frames=5, height=48, width=81)
    assert (video, masks) == (tmp_path / "demo" / "demo.mp4", tmp_path / "demo" / "masks")
    assert sorted(path.name for path in masks.iterdir()) == [f"{frame:05d}.png" for frame in range(5)]
    sample = load_own(video, masks, "davis2017")
    assert sample.volume.shape == (3, 5, 48, 81)
    assert sample.labelled_frames == (0, 1, 2, 3, 4)
    assert classes_of(sample.labels) == 2
    assert sample.frame_rate == FRAME_RATE


def test_size_and_number_of_frames(tmp_path, monkeypatch, built):
    """What is asked for unless told otherwise; drawing all of it takes seconds, so it is not drawn here."""
    asked = []

    def short(*size):
        asked.append(size)
        return film(1, *size[1:])

    monkeypatch.setattr(module, "film", short)
    generate_demo(tmp_path)
    assert asked == [(36, 240, 426)]
    assert read_mask(tmp_path / "masks" / "00000.png", "davis2017").shape == (240, 426)


def test_deterministic(tmp_path):
    one, two = (generate_demo(tmp_path / str(i), frames=2, height=32, width=48) for i in range(2))
    assert one[0].read_bytes() == two[0].read_bytes()
    assert (one[1] / "00001.png").read_bytes() == (two[1] / "00001.png").read_bytes()


def test_the_video_appears_when_all_masks_are_written(tmp_path, monkeypatch, built):
    """And a film that stops half way leaves none."""

    def broken(frames, height, width):
        for index, frame in enumerate(film(frames, height, width)):
            assert not (tmp_path / "demo.mp4").exists()
            if index == 2:
                raise OSError("disk full")
            yield frame

    monkeypatch.setattr(module, "film", broken)
    with pytest.raises(OSError, match="disk full"):
        generate_demo(tmp_path, frames=4, height=32, width=48)
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]


@pytest.mark.parametrize("setting", ["frames", "height", "width"])
def test_nonsense(tmp_path, setting):
    with pytest.raises(ValueError, match=f"{setting} of the demo is 0: give 1 or more"):
        generate_demo(tmp_path, **{setting: 0})


def outline(scene, time):
    """The barrel's rims and belly, seen through the camera: the hull of them is what is seen if nothing is in front."""
    barrel, camera = scene.barrel, Camera.at(time, height=HEIGHT, width=WIDTH, shift=np.zeros(2))
    middle, own, _ = barrel.pose(time)
    along = np.linspace(-1, 1, 41)
    radius = np.sqrt(barrel.radius**2 - (barrel.radius**2 - barrel.end**2) * along**2)
    angle = np.linspace(0, 2 * np.pi, 90)[:, None]
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.broadcast_to(barrel.half * along, (90, 41))], axis=-1)
    x, y, z = camera.projection @ (points.reshape(-1, 3) @ own + middle - camera.place).T
    hull = cv2.convexHull(np.stack([x / z, y / z], axis=1).astype(np.float32))
    filled = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(filled, [np.rint(16 * hull).astype(np.int32)], 1, shift=4)
    return filled > 0, cv2.contourArea(hull)


def J(prediction, truth):
    return (prediction & truth).sum() / (prediction | truth).sum()


@pytest.mark.parametrize("frame", [0, 8, 16])
def test_masks_are_the_barrel_and_not_its_shadow(frames, scene, frame):
    """Where nothing is in front: as its own geometry says, projected here in another way."""
    mask = frames[1][frame]
    expected, area = outline(scene, frame / FRAME_RATE)
    assert J(mask, expected) > 0.95
    assert mask.sum() == pytest.approx(area, rel=0.02)


def test_the_barrel_casts_a_shadow(scene):
    """It lies on the ground away from the sun, to the right, and is soft."""
    shadow = scene.barrel.shadow(0.5)
    opacity = shadow.texture[..., 3] / 255
    middle = scene.barrel.pose(0.5)[0]
    columns = shadow.corner[0] + shadow.across[0] * np.arange(opacity.shape[1])
    assert (opacity.sum(axis=0) @ columns) / opacity.sum() > middle[0] + 0.1
    assert opacity.max() > 0.5
    assert ((opacity > 0.1) & (opacity < 0.5)).mean() > 0.02
    assert opacity[[0, -1]].max() < 0.1


def test_the_barrel_passes_behind_the_post(frames, scene):
    """What is seen of it dips and returns; where the post stands it is not seen."""
    seen = frames[1].sum(axis=(1, 2))
    hidden = 1 - seen / [outline(scene, frame / FRAME_RATE)[1] for frame in range(len(seen))]
    lowest = int(hidden.argmax())
    assert 18 < lowest < 33
    assert hidden[lowest] > 0.25
    assert hidden[:16].max() < 0.03
    assert hidden[lowest + 3 :].min() < 0.1
    assert seen.min() > 0.03 * HEIGHT * WIDTH


def test_the_camera_moves(frames):
    """The wall goes to the left in the picture, and what is nearer goes faster: parallax."""
    grey = [cv2.cvtColor(frames[0][frame], cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in (10, 14)]
    wall, ground = (cv2.phaseCorrelate(*(g[rows].copy() for g in grey))[0] for rows in (slice(28, 50), slice(95, 120)))
    assert wall[0] < -1
    assert ground[0] < wall[0] - 1


def test_it_is_textured_and_the_sensor_is_not_perfect(frames):
    pictures = frames[0].astype(float)
    fine = pictures - np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in pictures])
    assert fine.std() > 8
    assert pictures.std() > 30
    assert (np.abs(pictures - 255) < 1).mean() < 0.01


def test_not_trivial(frames):
    """Copying the nearest of five labels does not come near J 0.85."""
    truth = frames[1]
    known = list(evenly_spaced(len(truth), 5))
    others = sorted(set(range(len(truth))) - set(known))
    nearest = [min(known, key=lambda frame: abs(frame - other)) for other in others]
    assert np.mean([J(truth[i], truth[n]) for i, n in zip(others, nearest, strict=True)]) < 0.8
