"""The values of a volume as bytes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from revseg.video.read import read_video
from revseg.video.reading import Reading


def saved(path: Path, volume: np.ndarray) -> Path:
    np.save(path, volume)
    return path


def test_each_channel_is_scaled_by_its_own_percentiles(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    volume = random.normal(size=(10, 40, 50, 2)) * (1, 1000) + (0, 5000)
    volume[0, 0, 0] = 1e9  # a spike decides nothing
    video = read_video(saved(tmp_path / "a.npy", volume))
    limits = np.percentile(volume.reshape(-1, 2), (0.1, 99.9), axis=0).T
    assert np.asarray(video.scale) == pytest.approx(limits)
    low, high = limits[1]
    expected = np.rint(255 * np.clip((volume[..., 1] - low) / (high - low), 0, 1))
    assert np.abs(video.volume[1].numpy() - expected).max() <= 1
    assert video.volume[:, 0, 0, 0].tolist() == [255, 255]


def test_bytes_stay_as_they_are_unless_a_scale_is_given(tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    path = saved(tmp_path / "a.npy", volume)
    assert read_video(path).scale is None
    assert np.array_equal(read_video(path).volume[0].numpy(), volume)
    assert np.array_equal(
        read_video(path, reading=Reading(scale=[0, 51])).volume[0].numpy(), np.minimum(5 * volume.astype(int), 255)
    )


def test_a_scale_means_the_same_in_another_volume(tmp_path: Path) -> None:
    first = read_video(saved(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(4, 20, 30))))
    other = np.full((2, 20, 30), 0.5)
    alone, same = read_video(saved(tmp_path / "b.npy", other)), read_video(tmp_path / "b.npy", reading=Reading(scale=first.scale))
    low, high = first.scale[0]  # type: ignore[index]
    assert same.volume.unique().tolist() == [round(255 * (0.5 - low) / (high - low))]
    assert alone.volume.unique().tolist() == [0]
    assert same.scale == first.scale


def test_a_constant_channel_is_0_and_nearly_one_is_not(tmp_path: Path) -> None:
    volume = np.zeros((3, 40, 50, 2))
    volume[..., 0], volume[1, 3, 4, 1] = 7, 2
    video = read_video(saved(tmp_path / "a.npy", volume))
    assert video.scale == ((7, 8), (0, 2))
    assert video.volume[0].unique().tolist() == [0]
    assert int(video.volume[1, 1, 3, 4]) == 255


def test_values_that_are_not_finite_are_the_median_of_their_slice(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(3, 20, 30)).astype(np.float32)
    volume[1, 2, 3], volume[1, 4, 5], volume[2] = np.nan, np.inf, np.nan
    video = read_video(saved(tmp_path / "a.npy", volume))
    finite = volume[np.isfinite(volume)]
    assert video.scale[0] == pytest.approx(np.percentile(finite, (0.1, 99.9)))  # type: ignore[index]
    median = round(255 * (np.median(volume[1][np.isfinite(volume[1])]) - video.scale[0][0]) / np.ptp(video.scale[0]))  # type: ignore[index]
    assert video.volume[0, 1, 2, 3] == video.volume[0, 1, 4, 5] == median
    assert video.volume[0, 2].unique().tolist() == [128]
    with pytest.raises(ValueError, match=r"channel 1 of .*b\.npy has no finite value"):
        read_video(saved(tmp_path / "b.npy", np.stack([volume, np.full_like(volume, np.nan)], -1)))


def test_large_whole_numbers_do_not_overflow(tmp_path: Path) -> None:
    volume = np.array([np.iinfo(np.int32).min, 0, np.iinfo(np.int32).max], np.int32).reshape(3, 1, 1).repeat(9, 1)
    assert read_video(saved(tmp_path / "a.npy", volume)).volume[0, :, 0, 0].tolist() == [0, 128, 255]


def test_what_is_done_is_said_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    read_video(saved(tmp_path / "a.npy", np.zeros((2, 3, 4, 6), np.int16)))
    read_video(saved(tmp_path / "b.npy", np.zeros((2, 3, 4), np.uint8)))
    first, second = caplog.messages
    assert first.endswith("6 channels of int16, scaled to 0 ... 255 from [0, 1], [0, 1], [0, 1], [0, 1], ... (6 pairs)")
    assert second.endswith("b.npy: 1 channel of uint8, taken as they are")


def test_pairs_that_do_not_fit(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", np.zeros((2, 3, 4, 3)))
    with pytest.raises(ValueError, match=r"the scale has 2 pairs \[low, high\], but .*a\.npy has 3 channels"):
        read_video(path, reading=Reading(scale=[[0, 1], [0, 1]]))
