"""Objects are gone where the evidence and looks lose them, and come back where looks find them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from revseg.evidence.config import PresenceConfig, SmoothingConfig
from revseg.evidence.presence import Sightings, cuts_in, present
from revseg.evidence.smoothing import Given, Smoothing
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from tests.evidence.made import HEIGHT, WIDTH, carried, flow_of, moving, sample, texture
from tests.evidence.test_looks import SEEING, coming_back

CONFIG = PresenceConfig(speck=0.01, found=0.2)


def labelled(frames: int, shares: dict[int, float]) -> Sample:
    """Labels of one object that takes these shares of 100 pixels; of a share below 0 nothing but one pixel is labelled."""
    truth = np.zeros((frames, 10, 10), np.uint8)
    for frame, share in shares.items():
        truth[frame].flat[: round(100 * share)] = 1
        if share < 0:
            truth[frame] = VOID
            truth[frame, 0, 0] = 1
    return sample(np.zeros((frames, 10, 10, 3), np.uint8), truth, sorted(shares))


def there(video: Sample, masks: Sequence[float], known: Sequence[float] | None, cuts: Sequence[int] = ()) -> list[int]:
    """Frames in which the object is; masks, known: beside its least labelled area, a tenth of the frame."""
    planes = [None if of is None else torch.tensor([[1 - 0.1 * share, 0.1 * share] for share in of]) for of in (masks, known)]
    assert planes[0] is not None
    found = present(video, Sightings(planes[0], planes[1], set(cuts)), CONFIG)
    assert found[:, 0].all()
    return found[:, 1].nonzero()[:, 0].tolist()


FIRST = labelled(6, {0: 0.1})


def test_without_looks_only_specks_are_gone() -> None:
    assert there(FIRST, [1, 0.5, 0.009, 0.02, 0, 1], None, cuts=[3]) == [0, 1, 3, 5]


def test_what_a_cut_has_lost_looks_find_again() -> None:
    assert there(FIRST, [1] * 6, [1, 0.1, 0.1, 0.1, 0.3, 0.1], cuts=[1]) == [0, 1, 4, 5]


def test_a_speck_is_lost_and_has_to_be_found() -> None:
    """Looks alone find no object whose mask is a speck."""
    assert there(FIRST, [1, 0, 1, 0, 1, 1], [1, 0.5, 0.1, 0.5, 0.1, 0.5]) == [0, 5]


def test_looks_deny_what_they_have_lost_of_a_sudden() -> None:
    assert there(FIRST, [1] * 6, [1, 0.5, 0.05, 0.1, 0.1, 0.3]) == [0, 1, 5]
    assert there(FIRST, [1] * 6, [1, 0.19, 0.05, 0.04, 0.01, 0]) == [0, 1, 2, 3]  # 0.19, little by little, by less than 0.15


def test_it_is_there_where_either_label_leads() -> None:
    """The least of both areas counts: 0.3 of it is 0.15 of the larger one."""
    both = labelled(6, {0: 0.2, 5: 0.1})
    assert there(both, [2, 1, 1, 1, 1, 1], [1, 0.1, 0.1, 0.1, 0.1, 1], cuts=[1]) == [0, 1, 2, 3, 4, 5]
    assert there(both, [2, 1, 1, 1, 1, 1], [1, 0.1, 0.1, 0.1, 0.1, 1], cuts=[1, 3]) == [0, 1, 4, 5]


def test_from_a_label_without_it_it_has_to_be_found() -> None:
    gone = labelled(6, {0: 0, 3: 0.1})
    assert there(gone, [0, 1, 1, 1, 1, 1], [0, 0.1, 0.1, 1, 0.1, 0.1], cuts=[1]) == [0, 2, 3, 4, 5]  # what is labelled stays
    assert there(gone, [0, 1, 1, 1, 1, 1], [0, 0.3, 0.1, 1, 0.1, 0.1], cuts=[1]) == [0, 1, 2, 3, 4, 5]


def test_points_tell_no_area() -> None:
    points = labelled(6, {0: -1})
    assert there(points, [0] * 6, [0] * 6, cuts=[1]) == [0, 1, 2, 3, 4, 5]
    assert there(labelled(6, {0: 0.1, 3: -1}), [1, 1, 0, 1, 1, 1], [1, 1, 1, 0, 0.1, 0.1]) == [0, 1, 3, 4, 5]


def test_a_cut_is_where_frames_have_nothing_in_common() -> None:
    """Not where all that is seen moves by a ninth of the picture."""
    video, _ = moving((0,), step=10, frames=4)
    elsewhere = torch.from_numpy(texture(7, HEIGHT, WIDTH)).permute(2, 0, 1)[:, None].expand(3, 2, HEIGHT, WIDTH)
    volume = torch.cat([video.volume, elsewhere, video.volume], 1)
    smoothing = Smoothing(flow_of(volume), SmoothingConfig(sweeps=1), fixed=(0, 1))
    for _ in smoothing(Given(smoothing.flow.fields.field(torch.ones(2, HEIGHT, WIDTH)), 1.0) for _ in range(10)):
        pass
    assert sorted(smoothing.agreed) == [1, 2, 3, 4, 5, 6, 7, 8]  # of frames 0 and 1 both are fixed
    assert cuts_in(smoothing.agreed) == {3, 5}


@pytest.mark.slow
@pytest.mark.parametrize("cut", [True, False])
def test_nothing_is_found_in_another_scene(cut: bool) -> None:
    """Eight frames of the object, four of somewhere else in its colour, and eight of the object again."""
    video, truth = coming_back(frames=4)
    first = video.volume.permute(1, 2, 3, 0).numpy()
    strange = np.repeat((texture(9, HEIGHT, WIDTH) // 2 + np.array([127, 0, 0], np.uint8))[None], 4, 0)
    scenes = [first, strange, first] if cut else [first, first, first]
    masks = np.concatenate([truth.numpy()] * 3)
    found = carried(sample(np.concatenate(scenes), masks, (0,)), config=SEEING).evidence
    assert [frame for frame in range(12) if found.gone(frame)] == ([4, 5, 6, 7] if cut else [])
    assert (found.probabilities.sum(0).float() - 255).abs().max() < 2
    kept = carried(sample(np.concatenate(scenes), masks, (0,)), config=replace(SEEING, presence=PresenceConfig(speck=0, found=0)))
    assert not any(kept.evidence.gone(frame) for frame in range(12))
