"""Volume and labels change together, deterministically, and never as a whole in floating point."""

import math
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from revseg.evidence.evidence import Evidence
from revseg.training import augment as augment_module
from revseg.training.augment import augment
from revseg.training.config import AugmentConfig
from revseg.training.item import Item

OFF = {field.name: 0 for field in fields(AugmentConfig)} | {"offset": False}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_item(frames=10, height=32, width=48, labelled=(0, 3, 4)):
    """A disk of label 1 in a ring of void, redder inside; frame t has blue 10 t."""
    y, x = np.meshgrid(np.arange(height) - height / 2, np.arange(width) - width * 0.4, indexing="ij")
    radius = np.hypot(y, x) / height
    labels = np.where(radius < 0.2, 1, np.where(radius < 0.25, 255, 0)).astype(np.uint8)
    volume = np.zeros((3, frames, height, width), np.uint8)
    volume[0] = np.clip(250 - 600 * radius, 0, 255)
    volume[2] = 10 * np.arange(frames)[:, None, None]
    labels = torch.from_numpy(np.repeat(labels[None], len(labelled), 0))
    return Item(torch.from_numpy(volume), labels, labelled)


def test_nothing():
    item = make_item()
    result = augment(item, AugmentConfig(**OFF), generator(), multiple=(8, 8, 8))
    assert torch.equal(result.volume, item.volume)
    assert torch.equal(result.labels, item.labels)
    assert result.labelled_frames == item.labelled_frames
    assert result.offset == (0, 0, 0)


def test_deterministic():
    item, config = make_item(), AugmentConfig()
    one, two, other = (augment(item, config, generator(seed), multiple=(8, 8, 8)) for seed in (1, 1, 2))
    assert torch.equal(one.volume, two.volume)
    assert torch.equal(one.labels, two.labels)
    assert (one.labelled_frames, one.offset) == (two.labelled_frames, two.offset)
    assert not torch.equal(one.volume, other.volume)


def test_the_item_stays_as_it_is():
    item, copy = make_item(), make_item()
    for seed in range(5):
        result = augment(item, AugmentConfig(), generator(seed))
        assert result.volume.dtype == result.labels.dtype == torch.uint8
        assert result.volume.shape == item.volume.shape
        assert result.labels.shape == item.labels.shape
    assert torch.equal(item.volume, copy.volume)
    assert torch.equal(item.labels, copy.labels)


def test_offsets_cover_the_grid():
    config, random = AugmentConfig(**OFF | {"offset": True}), generator()
    offsets = [augment(make_item(), config, random, multiple=(2, 4, 1)).offset for _ in range(200)]
    assert set(offsets) == {(t, h, 0) for t in range(2) for h in range(4)}
    assert all(type(part) is int for part in offsets[0])


def test_flip_in_width():
    item = make_item()
    result = augment(item, AugmentConfig(**OFF | {"flip_width": 1}), generator())
    assert torch.equal(result.volume, item.volume.flip(3))
    assert torch.equal(result.labels, item.labels.flip(2))
    assert result.labelled_frames == item.labelled_frames


def test_flip_in_time_renumbers():
    item = make_item()
    item.labels[0, 0, 0] = 7
    result = augment(item, AugmentConfig(**OFF | {"flip_time": 1}), generator())
    assert torch.equal(result.volume, item.volume.flip(1))
    assert result.labelled_frames == (5, 6, 9)
    assert result.labels[:, 0, 0].tolist() == [0, 0, 7]  # that of frame 0, now frame 9


def test_flip_probability():
    config, random = AugmentConfig(**OFF | {"flip_time": 0.25}), generator()
    flipped = sum(augment(make_item(), config, random).labelled_frames != (0, 3, 4) for _ in range(400))
    assert 70 < flipped < 130


def test_gain_and_bias():
    item = make_item()
    result = augment(item, AugmentConfig(**OFF | {"gain": 0.2, "bias": 0.1}), generator())
    assert torch.equal(result.labels, item.labels)
    for channel in range(3):
        old, new = item.volume[channel].double().flatten(), result.volume[channel].double().flatten()
        inside = (new > 0) & (new < 255)
        if old[inside].unique().numel() < 2:
            continue
        slope, shift = np.polyfit(old[inside].numpy(), new[inside].numpy(), 1)
        assert 0.79 < slope < 1.21
        assert abs(shift) < 27
        expected = (slope * old + shift).clamp(0, 255)
        assert (expected - new).abs().max() < 1.1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "strength",
    [{"rotation": 30}, {"scale": 0.3}, {"shear": 0.2}, {"translation": 0.2}],
    ids=lambda strength: next(iter(strength)),
)
def test_warp_moves_labels_with_pixels(strength, seed):
    """Inside the disk it is red, far outside it is not, wherever the warp has put it."""
    item = make_item(height=64, width=96)
    result = augment(item, AugmentConfig(**OFF | strength), generator(seed))
    assert not torch.equal(result.volume, item.volume)
    red, label = result.volume[0, result.labelled_frames[0]], result.labels[0]
    assert label.unique().tolist() in ([0, 1, 255], [0, 1])
    assert red[label == 1].min() > 110
    assert red[label == 0].max() < 125
    assert torch.equal(result.volume[2], item.volume[2])  # every frame is warped in the same way


def test_rotation_keeps_circles():
    """On a wide frame a rotation in units of half the frame would make them ellipses."""
    item = make_item(height=64, width=128)
    for seed in range(5):
        disk = augment(item, AugmentConfig(**OFF | {"rotation": 90}), generator(seed)).labels[0] == 1
        rows, columns = disk.any(1).sum(), disk.any(0).sum()
        assert abs(int(rows) - int(columns)) <= 2
        assert abs(int(disk.sum()) / (math.pi * (0.2 * 64) ** 2) - 1) < 0.05


def test_out_of_view_is_void():
    item = make_item()
    result = augment(item, AugmentConfig(**OFF | {"translation": 0.4}), generator(3))
    sides = [result.labels[0][edge] for edge in ((0,), (-1,), (slice(None), 0), (slice(None), -1))]
    empty = [bool((side == 255).all()) for side in sides]
    assert sum(empty) == 2  # one of top and bottom, one of left and right
    assert (result.labels == 255).sum() > (item.labels == 255).sum()
    assert result.volume[2].float().std() > 0  # the volume has a mirror image there, no black


def with_evidence(item):
    """Three planes: where the disk is, where it is not, and how deep in it, another in each frame."""
    inside = (item.volume[:1] > 130).to(torch.uint8)
    number = torch.arange(item.frames, dtype=torch.uint8).view(1, -1, 1, 1)
    planes = torch.cat([255 * inside, 255 - 255 * inside, inside * (100 + number)])
    return replace(item, evidence=Evidence.from_planes(planes))


def test_evidence_follows_the_colours_as_it_is():
    item = with_evidence(make_item())
    result = augment(item, AugmentConfig(**OFF), generator())
    assert torch.equal(result.volume, torch.cat([item.volume, item.evidence.planes()]))
    result = augment(item, AugmentConfig(**OFF | {"gain": 0.2, "bias": 0.1}), generator())
    assert not torch.equal(result.volume[:3], item.volume)
    assert torch.equal(result.volume[3:], item.evidence.planes())


@pytest.mark.parametrize(("setting", "axis"), [("flip_width", 3), ("flip_time", 1)])
def test_evidence_is_flipped_with_the_volume(setting, axis):
    item = with_evidence(make_item())
    result = augment(item, AugmentConfig(**OFF | {setting: 1}), generator())
    assert torch.equal(result.volume, torch.cat([item.volume, item.evidence.planes()]).flip(axis))


@pytest.mark.parametrize("seed", range(4))
def test_evidence_is_warped_with_the_volume(seed):
    """It tells of every frame's disk where the colours and the labels have it."""
    config = AugmentConfig(**OFF | {"rotation": 30, "scale": 0.2, "shear": 0.1, "flip_width": 0.5})
    item = make_item(height=64, width=96)
    result = augment(with_evidence(item), config, generator(seed))
    plain = augment(item, config, generator(seed))
    assert torch.equal(result.volume[:3], plain.volume)  # with the same random numbers
    assert torch.equal(result.labels, plain.labels)
    assert result.volume.dtype == torch.uint8
    inside, outside, depth = result.volume[3:]
    red = result.volume[0]
    assert (inside[red > 150] > 127).all()
    assert (inside[red < 110] < 128).all()
    void = torch.nn.functional.pad((result.labels[:1] == 255).float(), (2, 2, 2, 2), value=1.0)
    within = torch.nn.functional.max_pool2d(void, 5, 1)[0] == 0
    assert within.float().mean() > 0.3
    assert ((inside.int() + outside - 255).abs()[:, within] <= 1).all()
    for frame in range(item.frames):
        assert depth[frame][inside[frame] == 255].unique().tolist() == [100 + frame]


def test_nothing_is_known_beyond_the_frame():
    item = make_item()
    planes = torch.full((3, *item.volume.shape[1:]), 255, dtype=torch.uint8)
    item = replace(item, evidence=Evidence.from_planes(planes))
    result = augment(item, AugmentConfig(**OFF | {"translation": 0.4}), generator(3))
    plain = replace(item, labels=torch.zeros_like(item.labels), evidence=None)
    outside = augment(plain, AugmentConfig(**OFF | {"translation": 0.4}), generator(3)).labels[0] == 255
    assert 0.1 < outside.float().mean() < 0.8
    far = 1 - torch.nn.functional.max_pool2d(1 - outside[None].float(), 3, 1, 1)[0] > 0  # what is half outside is half known
    border = torch.nn.functional.max_pool2d(outside[None].float(), 3, 1, 1)[0] > 0
    assert far.any()
    assert not result.volume[3:][..., far].any()
    assert (result.volume[3:][..., ~border] == 255).all()


def test_no_labels():
    item = make_item(labelled=())
    assert augment(item, AugmentConfig(), generator()).labels.shape == (0, 32, 48)


def test_chunks_give_the_same(monkeypatch):
    config = AugmentConfig()
    whole = augment(with_evidence(make_item()), config, generator())
    monkeypatch.setitem(augment_module.CHUNK, "cpu", 3 * 32 * 48 * 6)
    parts = augment(with_evidence(make_item()), config, generator())
    assert torch.equal(parts.volume, whole.volume)
    assert torch.equal(parts.labels, whole.labels)


class LargestFloat(TorchDispatchMode):
    """Counts the elements of the largest floating-point tensor that is made."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            self.size = max(self.size, result.numel())
        return result


def test_never_the_whole_volume_in_floating_point():
    item = with_evidence(make_item(200, 96, 171))
    with LargestFloat() as largest:
        augment(item, AugmentConfig(), generator())
    assert 0 < largest.size <= augment_module.CHUNK["cpu"] < item.volume.numel() / 4


def test_fast():
    """Generous bounds, for slow machines; ten times less is usual."""
    for (frames, height, width), seconds in (((40, 48, 88), 0.1), ((80, 96, 171), 0.5)):
        item, config = make_item(frames, height, width), AugmentConfig()
        durations = []
        for seed in range(4):
            start = time.perf_counter()
            augment(item, config, generator(seed), multiple=(8, 8, 8))
            durations.append(time.perf_counter() - start)
        assert min(durations) < seconds


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"flip_time": 2}, r"augment\.flip_time is 2: give a number from 0 to 1"),
        ({"gain": -0.1}, r"augment\.gain is -0\.1: give a number from 0 to 1"),
        ({"rotation": 200}, r"augment\.rotation is 200: give 0 to 180 degrees"),
    ],
)
def test_nonsense(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        AugmentConfig(**settings)


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_each_of_any_number_of_channels_has_its_own_gain_and_bias(channels):
    item = make_item()
    item = replace(item, volume=torch.full((channels, *item.volume.shape[1:]), 100, dtype=torch.uint8))
    result = augment(item, AugmentConfig(**OFF | {"gain": 0.3, "bias": 0.1}), generator())
    assert result.volume.shape == item.volume.shape
    assert all(len(channel.unique()) == 1 for channel in result.volume)
    assert len(result.volume[:, 0, 0, 0].unique()) == channels


def test_evidence_stays_behind_any_number_of_channels():
    item = make_item()
    planes = torch.randint(0, 256, (3, *item.volume.shape[1:]), dtype=torch.uint8)
    item = replace(item, volume=item.volume[:2], evidence=Evidence.from_planes(planes))
    result = augment(item, AugmentConfig(**OFF), generator())
    assert torch.equal(result.volume, torch.cat([item.volume, planes]))
