"""What is known of a video, in each of the cases there are; decoded once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from revseg.evidence.cache import EvidenceCache
from revseg.evidence.config import EvidenceConfig, SmoothingConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.motion import motion_evidence
from revseg.evidence.observation import Observation, height_of_evidence, observe
from revseg.evidence.store import FlowStore
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.video.resize import resize_volume
from tests.evidence.made import EVIDENCE, FRAMES, HEIGHT, WIDTH, carried, flow_of, moving

pytestmark = pytest.mark.slow

LABELLED, SMALL = (0, 8), (32, 48)
NONE = replace(EVIDENCE, source="none")
NOTHING = replace(NONE, smoothing=SmoothingConfig(sweeps=0))


@pytest.fixture(scope="module")
def video() -> Sample:
    return moving(LABELLED)[0]


def observed(video: Sample, config: EvidenceConfig = EVIDENCE, **more: object) -> Observation:
    """By a network of half the height."""
    settings = {"height": 32, "classes": 2, "store": FlowStore(), "cache": EvidenceCache(None)}
    return observe(video, config=config, **settings | more)


def test_labels_are_carried_at_the_size_of_the_video_and_seen_at_that_of_the_network(video: Sample) -> None:
    found, alone = observed(video, shares=(0.25, 0.5)), carried(video, shares=(0.25, 0.5))
    assert found.evidence is not None
    assert found.seen is not None
    assert found.flow is not None
    assert found.flow.size == (WIDTH, HEIGHT)
    assert found.evidence.planes().equal(alone.evidence.planes())
    assert found.seen.planes().equal(alone.evidence.resized(SMALL).planes())
    assert len(found.returned) == len(LABELLED)
    for one, other in zip(found.returned, alone.returned, strict=True):
        assert one.planes().shape == (3, 2, *SMALL)
        assert one.planes().equal(other.resized(SMALL).planes())
    assert found.fixed == LABELLED


def test_the_network_sees_the_same_video_in_its_own_size(video: Sample) -> None:
    """No second decoding: the frames are those that were given, resized; the masks stay at the video's own size."""
    found = observed(video)
    assert (found.video.height, found.video.width) == SMALL
    assert found.video.volume.equal(resize_volume(video.volume, SMALL))
    assert found.video.masks.equal(video.masks)
    assert found.video.labelled_frames == LABELLED
    assert found.inputs.shape == (3 + 3, FRAMES, *SMALL)
    assert found.seen is not None
    assert found.inputs.equal(torch.cat([found.video.volume, found.seen.planes()]))


def test_where_both_sizes_are_one_nothing_is_resized(video: Sample) -> None:
    found = observed(video, height=None)
    assert found.video is video
    assert found.seen is found.evidence


def test_without_labels_the_network_is_shown_what_moves(video: Sample) -> None:
    found = observed(video.select([]), classes=3)
    expected = motion_evidence(flow_of(video.volume), 3, config=EVIDENCE, cache=EvidenceCache(None)).resized(SMALL)
    assert found.seen is not None
    assert found.seen.planes().equal(expected.planes())
    assert found.inputs.shape == (3 + 4, FRAMES, *SMALL)
    assert found.flow is not None
    assert (found.evidence, found.fixed, found.returned) == (None, (), ())


def test_without_labels_the_network_may_be_shown_nothing(video: Sample, computed: list[tuple[int, int]]) -> None:
    found = observed(video.select([]), classes=3, unlabelled="nothing")
    assert found.seen is not None
    assert found.seen.planes().equal(Evidence.blank(3, FRAMES, SMALL).planes())
    assert found.flow is not None  # predictions are smoothed along it
    assert found.evidence is None
    assert not computed


def test_a_network_that_sees_pictures_alone_is_smoothed_along_the_flow(video: Sample, computed: list[tuple[int, int]]) -> None:
    """Its labels are not carried, and do not stay."""
    found = observed(video, NONE)
    assert (found.evidence, found.seen, found.returned, found.fixed) == (None, None, (), ())
    assert found.flow is not None
    assert found.flow.size == (WIDTH, HEIGHT)
    assert found.inputs is found.video.volume
    assert not computed  # not before it is asked for


def test_nor_is_there_flow_where_nothing_is_smoothed(video: Sample) -> None:
    found = observed(video, NOTHING)
    assert (found.flow, found.evidence, found.seen, found.returned) == (None, None, None, ())
    assert found.video.volume.shape == (3, FRAMES, *SMALL)
    assert found.video.labels.shape == (2, *SMALL)


def test_a_video_decoded_at_less_than_its_own_size_has_labels_at_that(video: Sample) -> None:
    """Masks of 128 lines, frames of 64: the evidence of a labelled frame is the label there."""
    masks = video.masks.repeat_interleave(2, 1).repeat_interleave(2, 2)
    large = replace(video, masks=masks, native_size=(2 * HEIGHT, 2 * WIDTH))
    found = observed(large)
    assert found.evidence is not None
    assert found.evidence.size == (HEIGHT, WIDTH)
    assert found.evidence.planes().equal(carried(video).evidence.planes())


@pytest.mark.parametrize(
    ("height", "native", "expected"),
    [
        (96, 480, 480),
        (96, 1080, 480),  # flow.height
        (96, 240, 240),  # the video's own
        (720, 1080, 720),  # that of the network, where it is more
        (None, 1080, 1080),
        (None, 240, 240),
        (480, 240, 480),
    ],
)
def test_height_at_which_a_video_is_decoded(height: int | None, native: int, expected: int) -> None:
    config = EvidenceConfig()
    assert height_of_evidence(config, height, native) == expected
    assert height_of_evidence(replace(config, source="none"), height, native) == expected  # for the smoothing
    assert height_of_evidence(replace(config, source="none", smoothing=SmoothingConfig(sweeps=0)), height, native) == height


def test_kept_evidence_is_found_again(video: Sample, tmp_path, computed: list[tuple[int, int]]) -> None:  # type: ignore[no-untyped-def]
    given = {"store": FlowStore(tmp_path), "cache": EvidenceCache(tmp_path), "shares": (0.5,)}
    first = observed(video, **given)
    del given["store"]
    count = len(computed)
    again = observed(video, store=FlowStore(tmp_path), **given | {"cache": EvidenceCache(tmp_path)})
    assert count > 0
    assert len(computed) == count
    assert np.array_equal(first.inputs.numpy(), again.inputs.numpy())
    assert again.returned[0].planes().equal(first.returned[0].planes())


def sparsely(video: Sample, frames: tuple[int, ...]) -> Sample:
    """Of these labelled frames only a corner is known."""
    masks = video.masks.clone()
    for frame in frames:
        masks[video.labelled_frames.index(frame), 4:] = VOID
    return replace(video, masks=masks)


def test_a_few_labelled_pixels_are_no_evidence() -> None:
    """Shown what it is asked for, a network would learn to copy it: nothing is carried from there, or shown."""
    more = sparsely(moving((0, 4, 8))[0], (4,))
    found, without = observed(more, shares=(0.5,)), observed(more.select((0, 8)), shares=(0.5,))
    assert found.evidence is not None
    assert without.evidence is not None
    assert found.evidence.planes().equal(without.evidence.planes())
    assert found.fixed == (0, 8)
    assert len(found.returned) == 2
    assert found.video.labelled_frames == (0, 4, 8)


def test_flow_without_a_whole_labelled_frame_is_refused(video: Sample) -> None:
    with pytest.raises(ValueError, match=r"no frame of .* has labels on half of its.*set experiment=volume or evidence=none"):
        observed(sparsely(video, LABELLED))
    assert observed(sparsely(video, LABELLED), NOTHING).fixed == ()
