"""What a motion says of the classes."""

import numpy as np
import pytest
import torch

from revseg.evidence.config import FlowConfig, LikelihoodConfig
from revseg.evidence.likelihood import MotionLikelihood
from revseg.evidence.opencv import OpenCVFields
from revseg.labels.palette import VOID

CONFIG = LikelihoodConfig()
FIELDS = OpenCVFields(torch.zeros(3, 1, 1, 1, dtype=torch.uint8), FlowConfig(), factor=1)
FLOOR, BINS, LEAST = CONFIG.floor, CONFIG.bins, CONFIG.least


def labelled(*shares: float, frames: int = 1) -> tuple[np.ndarray, torch.Tensor]:
    """Frames of 10 x 100, an object in the left half: of class 0 and of class 1 the share of the pixels that moves."""
    moved, labels = np.zeros((frames, 10, 100), np.uint8), torch.zeros(frames, 10, 100, dtype=torch.uint8)
    labels[:, :, :50] = 1
    moved[:, :, 50 : 50 + round(50 * shares[0])] = 255
    moved[:, :, : round(50 * shares[1])] = 255
    return moved, labels


def likelihood_of(
    moved: np.ndarray, labels: torch.Tensor, classes: int = 2, config: LikelihoodConfig = CONFIG
) -> MotionLikelihood:
    return MotionLikelihood(torch.from_numpy(moved), labels, classes, config=config)


def weighed(likelihood: MotionLikelihood, moved: int, *probabilities: int, confidence: int = 255) -> np.ndarray:
    """Of a frame of one pixel, all in bytes."""
    evidence = torch.tensor([*probabilities, confidence], dtype=torch.uint8).view(-1, 1, 1)
    return likelihood.weigh(evidence, torch.full((1, 1), moved, dtype=torch.uint8), FIELDS).flatten()


STILL, MOVES = 0, 255
SURE, UNSURE = 255, 0


def odds(likelihood: MotionLikelihood, moved: int, probabilities: tuple[int, int] = (100, 100), confidence: int = SURE) -> float:
    ground, object_ = weighed(likelihood, moved, *probabilities, confidence=confidence)
    return float(object_ / ground)


def test_bayes() -> None:
    """One frame, weight 1. Counts that moved: 100 of 500 and 400 of 500; 3/4 of a count at the end stays there (the end is
    repeated), 1/4 goes to its neighbour."""
    likelihood = likelihood_of(*labelled(0.2, 0.8))
    assert odds(likelihood, MOVES) == pytest.approx((0.8 * 0.75 + FLOOR) / (0.2 * 0.75 + FLOOR), rel=1e-5)
    assert odds(likelihood, STILL) == pytest.approx((0.2 * 0.75 + FLOOR) / (0.8 * 0.75 + FLOOR), rel=1e-5)
    assert odds(likelihood, MOVES, (150, 50)) == pytest.approx(odds(likelihood, MOVES) / 3, rel=1e-5)


def test_more_labelled_frames_trust_motion_less() -> None:
    """Their labels reach everywhere: the weight is 1/2 + 1 / (2 L)."""
    alone, four = (odds(likelihood_of(*labelled(0.2, 0.8, frames=count)), MOVES) for count in (1, 4))
    assert four == pytest.approx(alone ** (5 / 8), rel=1e-5)


def test_an_object_that_keeps_still() -> None:
    """What moves is none of it."""
    likelihood = likelihood_of(*labelled(0.5, 0))
    assert odds(likelihood, MOVES) < 0.1
    assert odds(likelihood, STILL) > 1


def test_where_all_move_alike_nothing_is_said() -> None:
    likelihood = likelihood_of(*labelled(0.5, 0.5))
    for moved in (STILL, MOVES):
        assert odds(likelihood, moved, (140, 60)) == pytest.approx(60 / 140, rel=1e-5)


def test_several_objects() -> None:
    """Two labels, one on what moves; a third class that no labelled frame shows, and void."""
    moved, labels = labelled(0, 1)
    labels[:, :, 60:80], labels[:, :, 80:] = 2, VOID
    moved[:, :, 80:] = 255  # void counts nowhere
    found = weighed(likelihood_of(moved, labels, 4), MOVES, 60, 60, 60, 60)
    assert found.argmax() == 1
    assert found[1] / found[3] == pytest.approx((0.75 + FLOOR) / (1 / BINS + FLOOR), rel=1e-5)
    assert found[0] == pytest.approx(found[2], rel=1e-5)
    assert found.sum() == pytest.approx(1, rel=1e-5)


def test_what_is_not_trusted_is_what_is_expected() -> None:
    """An object of a quarter of the labelled pixels, which moves no otherwise than the ground."""
    moved, labels = labelled(0, 0)
    labels[:, :, 25:] = 0
    likelihood = likelihood_of(moved, labels)
    assert odds(likelihood, STILL, (25, 230), UNSURE) == pytest.approx((1 / 3) ** (1 / 3), rel=1e-5)
    ground, object_ = (np.cbrt(share) / (np.cbrt(0.25) + np.cbrt(0.75)) for share in (0.75, 0.25))
    trust = (51 / 255) ** 0.1
    expected = (230 / 255 * trust + object_ * (1 - trust)) / (25 / 255 * trust + ground * (1 - trust))
    assert odds(likelihood, STILL, (25, 230), 51) == pytest.approx(expected, rel=1e-4)


def test_no_label_is_beyond_doubt() -> None:
    likelihood = likelihood_of(*labelled(0.2, 0.8))
    assert odds(likelihood, MOVES, (255, 0)) == pytest.approx(LEAST * odds(likelihood, MOVES), rel=1e-4)


def test_where_nothing_is_known_it_stays_so() -> None:
    assert not weighed(likelihood_of(*labelled(0.2, 0.8)), MOVES, 0, 0, confidence=UNSURE).any()


def test_settings_are_heard() -> None:
    """Two bins: each is the other's neighbour, and the end is repeated."""
    likelihood = likelihood_of(*labelled(0.2, 0.8), config=LikelihoodConfig(bins=2, floor=1.0))
    moves, still = 0.8 * 0.75 + 0.2 * 0.25 + 1, 0.2 * 0.75 + 0.8 * 0.25 + 1
    assert odds(likelihood, MOVES) == pytest.approx(moves / still, rel=1e-5)
    alike = likelihood_of(*labelled(0, 0), config=LikelihoodConfig(prior=0.0))
    assert odds(alike, STILL, (25, 230), UNSURE) == pytest.approx(1)
    trusting = likelihood_of(*labelled(0, 0), config=LikelihoodConfig(trust=0.0, least=0.001))
    assert odds(trusting, STILL, (2, 253), UNSURE) == pytest.approx(253 / 2, rel=1e-3)
