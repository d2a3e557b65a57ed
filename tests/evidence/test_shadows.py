"""What is darker than the ground behind it, in its colour, is a shadow where labels know the like for ground."""

import numpy as np
import pytest
import torch

from revseg.evidence import by_looks
from revseg.evidence.by_looks import ByLooks, draft_of
from revseg.evidence.shadows import shadows
from tests.evidence.made import HEIGHT, WIDTH, flow_of, sample, texture
from tests.evidence.test_looks import SEEING

FRAMES, SIDE, STEP, DEPTH = 14, 20, 4, 12


def test_what_a_shadow_is() -> None:
    colour = torch.tensor([0.0, 9, 0, 0, 0, 0])
    lightness = torch.tensor([-10.0, -10, -1, -70, -10, -10])
    known = torch.tensor([1.0, 1, 1, 1, 0, 1])
    differences = torch.stack([colour, lightness, lightness.abs(), known, *3 * [colour]], 1)[None]
    said = torch.zeros(3, 1, 6)
    said[1], said[2] = -5, -3
    said[2, 0, 5] = -1  # labels are not sure of the ground
    assert shadows(differences, said).tolist() == [[True, False, False, False, False, False]]


@pytest.mark.slow
@pytest.mark.parametrize("seen", [True, False])
def test_looks_do_not_learn_that_a_shadow_is_the_object(seen: bool, monkeypatch) -> None:
    """A square runs over the ground, and below it a darker piece of this one. Labels have the square alone, evidence has both."""
    if not seen:
        monkeypatch.setattr(by_looks, "shadows", lambda differences, said: torch.zeros(differences.shape[:2], dtype=torch.bool))
    ground = (texture(0, HEIGHT, WIDTH) // 4 + np.array([120, 110, 100])).astype(np.uint8)
    volume, truth = np.repeat(ground[None], FRAMES, 0), np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    shade = np.zeros(truth.shape, bool)
    for frame in range(FRAMES):
        columns = slice(6 + STEP * frame, 6 + STEP * frame + SIDE)
        volume[frame, 10 : 10 + SIDE, columns] = texture(1, SIDE, SIDE) // 2 + np.array([127, 0, 0], np.uint8)
        truth[frame, 10 : 10 + SIDE, columns] = 1
        shade[frame, 10 + SIDE : 10 + SIDE + DEPTH, columns] = True
    volume[shade] = (0.7 * volume[shade]).astype(np.uint8)
    video = sample(volume, truth, (0,))
    both = torch.from_numpy(truth == 1) | torch.from_numpy(shade)
    flow = flow_of(video.volume)
    flow.keep_near({1})
    draft = draft_of((flow.fields.field(torch.stack([~one, one]).float()) for one in both), video, flow=flow, config=SEEING.looks)
    planes = torch.from_numpy(np.stack([truth != 1, truth == 1, truth >= 0])).to(torch.uint8) * 255
    looks = ByLooks(video, planes, draft, flow=flow, config=SEEING)
    said = looks.ensemble.odds(looks.seen(7))
    assert said is not None
    found = (said.argmax(0) == 1).numpy()
    assert found[truth[7] == 1].mean() > 0.9
    assert (found[shade[7]].mean() < 0.3) == seen
