"""What moves by itself, whatever the camera does."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from revseg.evaluation.measures import region_similarity
from revseg.evidence import motion as module
from revseg.evidence.by_motion import ByMotion
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.config import EvidenceConfig, FlowConfig, MotionConfig
from revseg.evidence.flow import Flow
from revseg.evidence.motion import motion_evidence
from revseg.labels.dataset import DavisDataset
from revseg.video.reading import Reading
from tests.evidence.made import flow_of, sample, texture

pytestmark = pytest.mark.slow

FRAMES, HEIGHT, WIDTH, SIDE = 6, 192, 256, 56


FLOW = FlowConfig(least_height=HEIGHT)
CONFIG, NO_CACHE = EvidenceConfig(flow=FLOW), EvidenceCache(None)


def motion(flow: Flow, config: MotionConfig = CONFIG.motion, cache: EvidenceCache = NO_CACHE) -> np.ndarray:
    return module.motion(flow, config=config, cache=cache).cpu().numpy()


def seen(frame: int, camera: str) -> np.ndarray:
    """From the ground to the picture: the camera pans, or turns and comes closer."""
    if camera == "still":
        return np.eye(3, dtype=np.float32)
    if camera == "pan":
        return np.float32([[1, 0, -4 * frame], [0, 1, -2 * frame], [0, 0, 1]])
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 1.5 * frame, 1 + 0.01 * frame)
    return np.vstack([turn, [0, 0, 1]]).astype(np.float32)


def video(camera: str, speed: int = 7) -> tuple[Flow, np.ndarray]:
    """A square that runs over the ground, and where it is, (T, H, W) bool."""
    margin = 64
    ground = texture(0, HEIGHT + 2 * margin, WIDTH + 2 * margin)
    shift = np.float32([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    pictures, truth = [], []
    for frame in range(FRAMES):
        x = margin + 60 + speed * frame
        scene, where = ground.copy(), np.zeros(ground.shape[:2], np.uint8)
        scene[margin + 70 : margin + 70 + SIDE, x : x + SIDE] = texture(1, SIDE, SIDE)
        where[margin + 70 : margin + 70 + SIDE, x : x + SIDE] = 1
        view = seen(frame, camera) @ shift
        pictures.append(cv2.warpPerspective(scene, view, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR))
        truth.append(cv2.warpPerspective(where, view, (WIDTH, HEIGHT), flags=cv2.INTER_NEAREST) > 0)
    volume = torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2).contiguous()
    return flow_of(volume, FLOW), np.stack(truth)


@pytest.mark.parametrize("camera", ["still", "pan", "turn"])
def test_what_moves_is_found_whatever_the_camera_does(camera: str) -> None:
    flow, truth = video(camera)
    moved = motion(flow)
    assert moved.shape == truth.shape
    assert moved.dtype == np.uint8
    assert np.array_equal(motion(flow), moved)  # RANSAC draws the same samples each time
    for frame in range(FRAMES):
        assert region_similarity(moved[frame] > 127, truth[frame]) > 0.75, frame


@pytest.mark.parametrize("camera", ["still", "pan"])
def test_a_still_scene_shows_no_motion(camera: str) -> None:
    flow, _ = video(camera, speed=0)
    assert (motion(flow) > 127).mean() < 0.01


def test_ground_that_is_covered_or_comes_free_does_not_move() -> None:
    """Left and right of the square, which runs to the right: in one of the two flows the ground there is lost."""
    flow, truth = video("still")
    beside = (np.roll(truth, 8, axis=2) | np.roll(truth, -8, axis=2)) & ~truth
    moved = motion(flow) > 127
    assert moved[1:-1][beside[1:-1]].mean() < 0.35
    assert moved[0][beside[0]].mean() > moved[2][beside[2]].mean()  # the first frame has one neighbour alone


def test_one_frame_does_not_move() -> None:
    assert not motion(flow_of(torch.zeros(3, 1, 32, 48, dtype=torch.uint8), FlowConfig())).any()


@pytest.mark.parametrize("size", [(8, 8), (3, 100)])
def test_tiny_frames(size: tuple[int, int]) -> None:
    picture = torch.randint(0, 256, (3, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert motion(flow_of(picture.expand(3, 2, *size).contiguous(), FlowConfig(least_height=48))).shape == (2, *size)


@pytest.mark.parametrize("classes", [2, 4])
def test_evidence_has_the_form_of_carried_labels(classes: int) -> None:
    flow, truth = video("pan")
    found = motion_evidence(flow, classes, config=CONFIG, cache=NO_CACHE)
    evidence = found.planes()
    assert evidence.shape == (classes + 1, *truth.shape)
    assert evidence.dtype == torch.uint8
    assert (evidence[:-1].int().sum(0) - 255).abs().max() <= classes
    assert set(evidence[-1].unique().tolist()) == {round(255 * CONFIG.motion.confidence)}
    assert all(torch.equal(evidence[1], plane) for plane in evidence[2:-1])
    assert region_similarity(evidence[0, 3].numpy() < 128, truth[3]) > 0.75


def test_what_is_kept_is_not_computed_again(tmp_path: Path, computed: list) -> None:
    expected, volume = motion_evidence(video("pan")[0], 2, config=CONFIG, cache=NO_CACHE), video("pan")[0]._volume
    motion_evidence(flow_of(volume, FLOW), 2, config=CONFIG, cache=(cache := EvidenceCache(tmp_path)))
    cache.finish()
    computed.clear()
    flow = flow_of(volume, FLOW)
    assert motion_evidence(flow, 2, config=CONFIG, cache=EvidenceCache(tmp_path)).planes().equal(expected.planes())
    assert np.array_equal(motion(flow, cache=EvidenceCache(tmp_path)), motion(flow_of(volume, FLOW)))
    assert len(computed) == 2 * (FRAMES - 1)  # by the last one, which keeps nothing


@pytest.mark.parametrize("change", [{"quantile": 0.5}, {"share": 0.1}, {"least": 50.0}, {"spacing": 40}, {"tolerance": 5.0}])
def test_settings_are_heard_and_have_other_keys(change: dict[str, float]) -> None:
    flow, _ = video("turn")
    other = replace(CONFIG.motion, **change)
    assert module.motion_key(flow, other) != module.motion_key(flow, CONFIG.motion)
    assert not np.array_equal(motion(flow, other), motion(flow))


def test_real_motion(clip_root: Path) -> None:
    """A barrel that the camera follows, in the handheld picture."""
    video = DavisDataset(clip_root, reading=Reading(max_frames=4)).load("barrel", height=96)
    found = motion_evidence(flow_of(video.volume, FlowConfig()), 2, config=CONFIG, cache=NO_CACHE).probabilities[1].numpy() > 127
    assert np.mean([region_similarity(*pair) for pair in zip(found, video.labels.numpy() == 1, strict=True)]) > 0.6


def large() -> tuple[torch.Tensor, np.ndarray]:
    """What fills most of the picture goes one way, the ground beside it the other: (3, T, H, W), (T, H, W)."""
    ground, thing = texture(0, HEIGHT, WIDTH + 64), texture(1, HEIGHT, WIDTH)
    volume, truth = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8), np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    for frame in range(FRAMES):
        volume[frame] = ground[:, 6 * frame :][:, :WIDTH]
        edge = 150 + 5 * frame
        volume[frame, :, :edge], truth[frame, :, :edge] = thing[:, -edge:], 1
    return torch.from_numpy(volume).permute(3, 0, 1, 2).contiguous(), truth


def test_an_object_that_fills_the_picture_is_not_the_ground() -> None:
    volume, truth = large()
    flow = flow_of(volume, FLOW)

    def ground(frame: int) -> np.ndarray:
        return cv2.resize(1 - truth[frame], (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_NEAREST)

    for frame in range(FRAMES):
        blind, knowing = (module.of_frame(flow, frame, CONFIG.motion, ground=of).numpy() > 127 for of in (None, ground))
        assert region_similarity(knowing, truth[frame] > 0) > 0.7, frame
        assert region_similarity(blind, truth[frame] > 0) < 0.2, frame
        assert module.strays(flow, frame, config=CONFIG.motion, ground=ground)
    small, where = video("pan")
    still = [1 - one.astype(np.uint8) for one in where]
    assert not any(module.strays(small, frame, config=CONFIG.motion, ground=still.__getitem__) for frame in range(FRAMES))


def test_probabilities_are_weighed_anew_as_they_would_have_been() -> None:
    """Within the bytes that they are rounded to; and a frame whose motion is as it was keeps its own."""
    volume, truth = large()
    video_of = sample(volume.permute(1, 2, 3, 0).numpy(), truth, (0,))
    flow, config = flow_of(volume, FLOW), CONFIG
    planes = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    planes[:] = torch.tensor([100, 155, 200])[:, None, None]
    before = ByMotion(video_of, 2, flow=flow, config=config, moved=module.motion(flow, config=config.motion, cache=NO_CACHE))
    after = before.following(lambda frame: 1 - truth[frame])
    assert after is not None
    expected, had = after.weighed(planes, 3), before.weighed(planes, 3)
    found = after.weighed_anew(had, 3, before)
    assert (found.int() - expected.int()).abs().max() <= 12
    assert (had.int() - expected.int()).abs().max() > 100
    assert before.weighed_anew(had, 3, before) is had
    assert before.following(lambda frame: np.ones((HEIGHT, WIDTH), np.uint8)) is None
