"""Labels follow what moves, and say how far they can be trusted."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.evidence.config import CarryConfig, EvidenceConfig, LikelihoodConfig, MotionConfig, SmoothingConfig
from revseg.evidence.flow import Flow
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from tests.evidence.made import EVIDENCE, FLOW, FRAMES, HEIGHT, WIDTH, carried, moving, same, sample, texture
from tests.harm import wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Known:
    """Carried evidence as planes."""

    evidence: torch.Tensor
    """(classes + 1, T, H, W)."""
    returned: torch.Tensor
    """(L, shares, classes + 1, H, W)."""


def propagate(video: Sample, number: int, shares: Sequence[float] = (), config: EvidenceConfig = EVIDENCE) -> Known:
    found = carried(video, number, shares, config)
    return Known(found.evidence.planes(), torch.stack([part.planes().transpose(0, 1) for part in found.returned]))


def classes(evidence: torch.Tensor) -> torch.Tensor:
    """(classes + 1, ...) -> the likeliest."""
    return evidence[:-1].max(0)[1]


def iou(found: torch.Tensor, true: torch.Tensor) -> float:
    return ((found & true).sum() / (found | true).sum()).item()


@pytest.mark.parametrize("labelled", [(0, 8), (0, 4, 8), (4, 8)])
@pytest.mark.parametrize("objects", [1, 2])
def test_labels_follow_what_moves(labelled: tuple[int, ...], objects: int) -> None:
    """Between the labelled frames; every object keeps its class."""
    video, truth = moving(labelled, objects=objects)
    evidence = propagate(video, objects + 1).evidence
    assert evidence.shape == (objects + 2, FRAMES, HEIGHT, WIDTH)
    assert evidence.dtype == torch.uint8
    found = classes(evidence)
    for frame in range(labelled[0], FRAMES):
        for number in range(1, objects + 1):
            assert iou(found[frame] == number, truth[frame] == number) > 0.9, (frame, number)


def test_probabilities_sum_to_one_where_something_is_known() -> None:
    evidence = propagate(*moving((0, 8), objects=2)[:1], 3).evidence.long()
    total, known = evidence[:-1].sum(0), evidence[-1] > 0
    assert known.all()
    assert (total - 255).abs().max() <= 2
    assert evidence[-1].min() >= 1
    assert ((evidence[:-1] > 20) & (evidence[:-1] < 235)).any()  # two sources that do not agree


def test_labelled_frames_have_their_own_labels() -> None:
    video, truth = moving((0, 5), objects=2)
    evidence = propagate(video, 3).evidence
    for frame in (0, 5):
        assert torch.equal(evidence[:-1, frame], 255 * (truth[frame] == torch.arange(3)[:, None, None]).to(torch.uint8))
        assert (evidence[-1, frame] == 255).all()


def test_nothing_is_known_of_void() -> None:
    video, truth = moving((0, 8), step=1)
    masks = video.masks.clone()
    masks[0, :30] = VOID
    video = replace(video, masks=masks)
    known = propagate(video, 2, SHARES)
    assert not known.evidence[:, 0, :30].any()
    assert (known.evidence[-1, 0, 30:] == 255).all()
    assert not known.returned[0, :, :, :30].any()  # though much would come back
    assert known.returned[0, :, -1, 30:].all()
    assert known.returned[1, :, -1].all()
    assert (classes(known.evidence)[1] == 1)[truth[1] == 1].float().mean() > 0.8  # from the other labelled frame
    video = replace(video, masks=torch.full_like(masks, VOID))
    known = propagate(video, 2, SHARES)
    assert not known.evidence.any()
    assert not known.returned.any()


def test_confidence_falls_with_distance_and_where_ground_is_uncovered() -> None:
    video, truth = moving((0,))
    confidence = propagate(video, 2).evidence[-1].float()
    on_object = [confidence[frame][truth[frame] == 1].mean() for frame in range(FRAMES)]
    assert all(one > other for one, other in zip(on_object[:-1], on_object[2:], strict=False))
    uncovered = (truth[0] == 1) & (truth[6] == 0)
    still = (truth[0] == 0) & (truth[6] == 0)
    assert confidence[6][uncovered].mean() < 0.5 * confidence[6][still].mean()


def test_confidence_falls_everywhere_where_the_objects_are_lost() -> None:
    """A square that is gone after four frames: the ground agrees as before, but its labels do not say where the square is."""
    video, _ = moving((0,))
    video.volume[:, 4:] = torch.from_numpy(texture(0, HEIGHT, WIDTH)).permute(2, 0, 1)[:, None]
    confidence = propagate(video, 2).evidence[-1, :, 50:].float().mean((1, 2))  # far below the square
    assert confidence[4:].max() < 0.5 * confidence[:4].min()


def test_one_labelled_frame_reaches_both_ends() -> None:
    for labelled, last in (((0,), 8), ((8,), 0), ((4,), 8)):
        video, truth = moving(labelled, step=1)
        evidence = propagate(video, 2).evidence
        found, confidence = classes(evidence), evidence[-1]
        assert confidence.min() >= 1
        assert ((found == 1) & (truth == 1))[last].sum() > 0.8 * (truth == 1)[last].sum()
        sure = confidence[last] >= confidence[last].median()
        assert (found[last] == truth[last])[sure].float().mean() > 0.98


def cut(labelled: Sequence[int]) -> tuple[Sample, torch.Tensor]:
    """From frame 4 on another square on another ground."""
    (first, truth), (second, _) = moving(labelled), moving(labelled)
    other = torch.from_numpy(texture(7, HEIGHT, WIDTH)).permute(2, 0, 1)
    volume = second.volume.flip(2)
    truth = truth.clone()
    truth[4:] = truth[4:].flip(1)
    volume[:, 4:] = torch.where(truth[4:] == 1, volume[:, 4:], other[:, None])
    volume[:, :4] = first.volume[:, :4]
    return replace(first, volume=volume, masks=truth[list(labelled)]), truth


def test_labels_are_not_trusted_beyond_a_cut() -> None:
    video, _ = cut((0,))
    confidence = propagate(video, 2).evidence[-1].float().mean((1, 2))
    assert confidence[:4].min() > 150
    assert confidence[4:].max() < 60


def test_each_side_of_a_cut_has_its_own_labels() -> None:
    video, truth = cut((0, 8))
    found = classes(propagate(video, 2).evidence)
    for frame in range(FRAMES):
        assert iou(found[frame] == 1, truth[frame] == 1) > 0.65, frame
    assert iou(found[3] == 1, truth[4] == 1) < 0.2


def test_what_comes_back() -> None:
    """Of each labelled frame, as often as there are shares: not the truth, but near it, and worse from farther off."""
    video, truth = moving((0, 4, 8), step=1)
    known = propagate(video, 2, SHARES)
    assert known.returned.shape == (3, 3, 3, HEIGHT, WIDTH)
    assert known.returned.dtype == torch.uint8
    for row, frame in enumerate(video.labelled_frames):
        found = [classes(returned) == 1 for returned in known.returned[row]]
        values = [iou(mask, truth[frame] == 1) for mask in found]
        assert min(values) > 0.8
        for returned in known.returned[row]:
            assert not torch.equal(returned, known.evidence[:, frame])
            assert returned[-1].float().mean() < 254
            assert (returned[:-1].long().sum(0) - 255).abs().max() <= 2
        confidence = known.returned[row, :, -1].float().mean((1, 2)).tolist()
        assert confidence[0] > max(confidence[1:])
        if row != 1:
            assert values[0] > values[2]


def test_confidence_is_that_of_going_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to see, and a flow that leads four pixels to the right on its way back in time: eight of the enlarged frames."""
    video = sample(np.full((2, HEIGHT, WIDTH, 3), 90, np.uint8), np.zeros((2, HEIGHT, WIDTH), np.uint8), (0,))

    def way(self: Flow, frame: int, other: int, *, again: bool = True) -> np.ndarray:
        return self.identity + np.float32([4 if frame > other else 0, 0]).reshape(2, 1, 1)

    monkeypatch.setattr(Flow, "way", way)
    known, once = propagate(video, 2, (0.5,)), 255 * np.exp(-4 * 2 / FLOW.reach)
    inside = slice(8, -8)
    assert known.evidence[-1, 1, :, inside].numpy() == pytest.approx(once, abs=1)
    assert known.returned[0, 0, -1, :, inside].numpy() == pytest.approx(once**2 / 255, abs=1)  # carried twice


def test_no_shares_nothing_comes_back() -> None:
    assert propagate(moving((0, 8))[0], 2).returned.shape == (2, 0, 3, HEIGHT, WIDTH)


def test_what_comes_back_comes_from_frames_between_labelled_ones() -> None:
    """Beyond the outer ones nothing shows how far labels are usually carried; with one labelled frame there is nothing else."""
    video, _ = moving((3, 4))
    known = propagate(video, 2, SHARES)
    for row, frame in enumerate((3, 4)):
        assert all(torch.equal(returned, known.evidence[:, frame]) for returned in known.returned[row])
    video, _ = moving((4,))
    known = propagate(video, 2, SHARES)
    assert not any(torch.equal(returned, known.evidence[:, 4]) for returned in known.returned[0])


def test_a_frame_too_near_gives_nothing_back() -> None:
    """A quarter of the way from 0 to 2 is no frame."""
    known = propagate(moving((0, 2), frames=3)[0], 2, (0.25, 0.5))
    assert torch.equal(known.returned[0, 0], known.evidence[:, 0])
    assert not torch.equal(known.returned[0, 1], known.evidence[:, 0])


def test_a_single_frame() -> None:
    video, truth = moving((0,), frames=1)
    known = propagate(video, 2, SHARES)
    assert torch.equal(classes(known.evidence), truth)
    assert (known.evidence[-1] == 255).all()
    assert known.returned.shape == (1, 3, 3, HEIGHT, WIDTH)
    assert all(torch.equal(returned, known.evidence[:, 0]) for returned in known.returned[0])


def test_the_same_again_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    video, _ = moving((0, 4, 8))
    known = propagate(video, 2, SHARES)
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        again = propagate(video, 2, SHARES)
        assert torch.equal(again.evidence, known.evidence)
        assert torch.equal(again.returned, known.returned)


@pytest.mark.parametrize("config", [LikelihoodConfig(floor=1e6), LikelihoodConfig(enabled=False)])
def test_how_things_move_is_heard(config: LikelihoodConfig) -> None:
    """One label, and a square as fast as flow follows: its motion says where it is, and what of it comes back."""
    video, truth = moving((0,), step=5)
    object_ = truth[-1] == 1
    heard = propagate(video, 2, (0.5,))
    deaf = propagate(video, 2, (0.5,), replace(EVIDENCE, likelihood=config))
    assert heard.evidence[1, -1][object_].float().mean() > deaf.evidence[1, -1][object_].float().mean() + 5
    assert heard.evidence[1, -1][~object_].float().mean() < deaf.evidence[1, -1][~object_].float().mean() / 2
    assert heard.returned[0, 0, 1][truth[0] == 1].float().mean() > deaf.returned[0, 0, 1][truth[0] == 1].float().mean() + 10


@pytest.mark.parametrize("way", ["chain", "direct"])
def test_a_way_without_weight_is_not_gone(way: str, computed: list) -> None:
    """And the other one alone still leads there."""
    video, truth = moving((0, 8))
    config = replace(EVIDENCE, carry=CarryConfig(**{way: 0.0}))
    found = propagate(video, 2, SHARES, config).evidence
    assert all(iou(classes(found)[frame] == 1, truth[frame] == 1) > 0.85 for frame in range(FRAMES))
    assert any(abs(frame - other) > 2 for frame, other in computed) == (way == "chain")


def test_the_same_with_a_cache_as_without(tmp_path: Path, computed: list) -> None:
    """And the second time no flow is computed at all."""
    video, _ = moving((0, 4, 8), objects=2)
    expected = carried(video, 3, SHARES)
    computed.clear()
    assert same(carried(video, 3, SHARES, folder=tmp_path), expected)
    assert computed
    computed.clear()
    for _ in range(2):
        assert same(carried(video, 3, SHARES, folder=tmp_path), expected)
    assert not computed
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"flow", "gap", "motion", "returned", "evidence"}


def test_one_label_more_computes_what_it_changes(tmp_path: Path, computed: list) -> None:
    """The flow straight between the new label's frame and those of the two gaps beside it; no flow that is near."""
    carried(moving((0, 8, 12), frames=13)[0], 2, SHARES, folder=tmp_path)
    gaps = set(tmp_path.glob("gap-*"))
    computed.clear()
    video, _ = moving((0, 4, 8, 12), frames=13)
    found = carried(video, 2, SHARES, folder=tmp_path)
    assert sorted(computed) == [(1, 4), (4, 1), (4, 7), (7, 4)]
    assert len(set(tmp_path.glob("gap-*")) - gaps) == 2
    assert same(found, carried(video, 2, SHARES))


def test_an_edited_label_changes_its_gaps_alone(tmp_path: Path, computed: list) -> None:
    video, _ = moving((0, 4, 8))
    carried(video, 2, SHARES, folder=tmp_path)
    gaps = set(tmp_path.glob("gap-*"))
    masks = video.masks.clone()
    masks[2, :10] = 1
    edited = replace(video, masks=masks)
    computed.clear()
    found = carried(edited, 2, SHARES, folder=tmp_path)
    assert not computed  # the flow is that of the same frames
    assert len(set(tmp_path.glob("gap-*")) - gaps) == 1
    assert same(found, carried(edited, 2, SHARES))


CHANGES = [
    (replace(EVIDENCE, flow=replace(FLOW, finest_scale=1)), {"flow", "gap", "motion", "returned", "evidence"}),
    (replace(EVIDENCE, flow=replace(FLOW, reach=8.0)), {"gap", "returned", "evidence"}),
    (replace(EVIDENCE, carry=CarryConfig(chain=2.0)), {"gap", "returned", "evidence"}),
    (replace(EVIDENCE, motion=MotionConfig(share=0.25)), {"motion", "returned", "evidence"}),
    (replace(EVIDENCE, likelihood=LikelihoodConfig(bins=4)), {"returned", "evidence"}),
    (replace(EVIDENCE, likelihood=LikelihoodConfig(enabled=False)), {"returned", "evidence"}),
    (replace(EVIDENCE, smoothing=SmoothingConfig(sweeps=2)), {"evidence"}),
    (replace(EVIDENCE, smoothing=SmoothingConfig(confidence=0.5)), set()),
    (replace(EVIDENCE, motion=MotionConfig(confidence=0.5)), set()),
]


@pytest.mark.parametrize(("config", "kinds"), CHANGES)
def test_other_settings_change_the_stages_that_they_matter_for(config: EvidenceConfig, kinds: set[str], tmp_path: Path) -> None:
    video, _ = moving((0, 5), frames=6)
    carried(video, 2, SHARES, folder=tmp_path)
    before = set(tmp_path.iterdir())
    found = carried(video, 2, SHARES, config, folder=tmp_path)
    assert {path.name.split("-")[0] for path in set(tmp_path.iterdir()) - before} == kinds
    assert same(found, carried(video, 2, SHARES, config))


def test_other_shares_another_video(tmp_path: Path) -> None:
    video, _ = moving((0, 5), frames=6)
    carried(video, 2, SHARES, folder=tmp_path)
    assert same(carried(video, 2, (0.3,), folder=tmp_path), carried(video, 2, (0.3,)))
    assert same(carried(video, 2, folder=tmp_path), carried(video, 2))
    other = replace(video, volume=video.volume.flip(3))
    assert same(carried(other, 2, SHARES, folder=tmp_path), carried(other, 2, SHARES))


def test_a_folder_that_cannot_be_means_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    video, _ = moving((0, 5), frames=6)
    found = carried(video, 2, SHARES, folder=tmp_path / "file" / "evidence")
    assert [record.levelname for record in caplog.records if record.levelno > 20] == ["WARNING"]
    assert same(found, carried(video, 2, SHARES))


PROGRAM = """
import sys
from pathlib import Path
from tests.evidence.made import carried, moving
carried(moving((0, 4, 8))[0], 2, (0.25, 0.5, 0.75), folder=Path(sys.argv[1]))
"""


def test_after_a_kill_the_next_process_goes_on(tmp_path: Path, computed: list) -> None:
    """Killed while it carries labels, as soon as the evidence of one gap is there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment)
    wait_for(lambda: process.poll() is not None or any(tmp_path.glob("gap-*")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    video, _ = moving((0, 4, 8))
    expected = carried(video, 2, SHARES)
    alone = len(computed)
    computed.clear()
    assert same(carried(video, 2, SHARES, folder=tmp_path), expected)
    assert len(computed) < alone
