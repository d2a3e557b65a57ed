"""Clips in which an object leaves and returns: their truth is that of their pixels."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from quality.returning import AFTER, BEFORE, BETWEEN, MARGIN, SLIDES, away, clips, write

from revseg.labels.sample import Sample

HEIGHT, WIDTH, SIDE = 40, 160, 16
RED, GREY, BLUE = (np.array(colour, np.uint8) for colour in ((255, 0, 0), (90, 90, 90), (0, 0, 255)))


def video(name: str, ground: np.ndarray, start: int = 100, step: float = 0.5, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Sample:
    """A red square that runs to the right."""
    frames = np.tile(ground, (AFTER.stop + 3, *size, 1))
    masks = np.zeros(frames.shape[:3], np.uint8)
    for frame, (picture, mask) in enumerate(zip(frames, masks, strict=True)):
        at = slice(10, 10 + SIDE), slice(round(start + step * frame), round(start + step * frame) + SIDE)
        picture[at], mask[at] = RED, 1
    volume = torch.from_numpy(frames).permute(3, 0, 1, 2)
    labelled, names = tuple(range(len(frames))), tuple(f"{frame:05d}" for frame in range(len(frames)))
    return Sample(name, volume, torch.from_numpy(masks), labelled, size, Fraction(24), Path(name), names)


def red(frames: np.ndarray) -> np.ndarray:
    return (frames == RED).all(-1)


def test_the_object_is_where_the_truth_has_it() -> None:
    made = list(clips(video("a", GREY), video("b", BLUE, start=10, size=(30, 120))))
    assert [clip.name for clip in made] == ["cut-a", "cover-a", "away-a"]
    for clip in made:
        assert len(clip.frames) == len(clip.truth) == AFTER.stop
        own = clip.truth == 1
        assert red(clip.frames)[own].all()
        assert not own[list(BETWEEN)].any()
        assert own[0].sum() == own[BEFORE.stop - 1 - SLIDES].sum() == own[AFTER.stop - 1].sum() == SIDE**2
    cut, cover, turned = made
    assert (cut.frames[list(BETWEEN)][:, 35:] == BLUE).all()
    assert not red(cover.frames[list(BETWEEN)])[:, :, WIDTH // 2 :].any()  # the other square lies beyond
    assert not red(turned.frames[list(BETWEEN)]).any()


def test_the_board_and_the_camera_come_and_go_by_and_by() -> None:
    _, cover, turned = clips(video("a", GREY), video("b", BLUE, start=10))
    board = (cover.frames == BLUE).all(-1).any(1).sum(1)
    assert board[: BETWEEN.start - SLIDES].max() == board[BETWEEN.stop + SLIDES :].max() == 0
    assert 0 < board[BETWEEN.start - SLIDES + 1] < board[BETWEEN.start] == board[BETWEEN.stop - 1]
    shown = turned.truth.sum((1, 2))
    assert 0 < shown[BETWEEN.start - 2] <= SIDE**2


def test_no_camera_where_there_is_no_room_beside_the_object() -> None:
    middle = video("a", GREY, step=0)
    frames, truth = middle.volume[:, : AFTER.stop].permute(1, 2, 3, 0).numpy(), middle.masks[: AFTER.stop].numpy()
    assert away("a", frames, truth) is not None
    truth = truth.copy()
    truth[BETWEEN.start, 0, MARGIN : WIDTH - MARGIN] = 1
    assert away("a", frames, truth) is None


def test_too_short_a_video() -> None:
    long = video("a", GREY)
    short = Sample("b", long.volume[:, :9], long.masks[:9], tuple(range(9)), (HEIGHT, WIDTH), Fraction(24), Path("b"))
    with pytest.raises(ValueError, match="a and b need 40 frames each: there are 43 and 9"):
        next(iter(clips(long, short)))


def test_as_a_data_set(tmp_path: Path) -> None:
    clip = next(iter(clips(video("a", GREY), video("b", BLUE, start=10))))
    write(tmp_path, clip)
    masks = sorted((tmp_path / "Annotations" / "480p" / "cut-a").iterdir())
    assert len(masks) == AFTER.stop
    found = np.stack([np.asarray(Image.open(path)) for path in masks])
    assert np.array_equal(found, 255 * clip.truth)
