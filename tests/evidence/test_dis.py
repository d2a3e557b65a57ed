"""Flow by inverse search in PyTorch: known motion, a plain version of the same search, and OpenCV's."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence import dis
from revseg.evidence.dis import SIDE, Search, dense_flow, gradients, pyramid
from tests.evidence.made import texture

HEIGHT, WIDTH = 64, 96


def warped(matrix: list[list[float]]) -> tuple[torch.Tensor, np.ndarray]:
    """Two grey frames, the second of what the affine (2, 3) leads the first's pixels to; and the flow (2, H, W)."""
    margin = 32
    whole = cv2.GaussianBlur(cv2.cvtColor(texture(0, HEIGHT + 2 * margin, WIDTH + 2 * margin), cv2.COLOR_RGB2GRAY), (5, 5), 0)
    forth = np.vstack([matrix, [0.0, 0.0, 1.0]])
    shift = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]], float)
    frames = [cv2.warpPerspective(whole, view @ shift, (WIDTH, HEIGHT)) for view in (np.eye(3), forth)]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    there = np.einsum("ij,jhw->ihw", np.array(matrix), np.stack([columns, rows, np.ones_like(rows)]))
    return torch.from_numpy(np.stack(frames)).float(), there - np.stack([columns, rows])


MOTIONS = {
    "still": [[1, 0, 0], [0, 1, 0]],
    "shift": [[1, 0, 5.5], [0, 1, -3.25]],
    "closer": [[1.06, 0, -3], [0, 1.06, -2]],
    "turn": [[0.998, -0.06, 2], [0.06, 0.998, -3]],
}


@pytest.mark.parametrize("motion", MOTIONS)
def test_known_motion_is_found(motion: str) -> None:
    frames, expected = warped(MOTIONS[motion])
    found = dense_flow(frames, [(0, 1)], finest=0, stride=3)[0].numpy()
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    x, y = columns + expected[0], rows + expected[1]
    inside = (x > 4) & (x < WIDTH - 5) & (y > 4) & (y < HEIGHT - 5)
    assert np.median(np.hypot(*(found - expected))[inside]) < 0.15
    assert np.quantile(np.hypot(*(found - expected))[inside], 0.9) < 0.6


def test_many_pairs_are_found_as_each_alone() -> None:
    frames = torch.cat([warped(MOTIONS["shift"])[0], warped(MOTIONS["turn"])[0]])
    pairs = [(0, 1), (1, 0), (2, 3), (0, 3)]
    together = dense_flow(frames, pairs, finest=1, stride=3)
    for pair, found in zip(pairs, together, strict=True):
        assert torch.allclose(dense_flow(frames, [pair], finest=1, stride=3)[0], found, atol=1e-3)


def test_what_one_patch_has_found_its_neighbours_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Farther off than they would get by themselves. In three rounds it spreads over 1 + 2 + 1 patches."""
    frames, _ = warped([[1, 0, 11], [0, 1, -7]])
    known = torch.zeros(1, 2, HEIGHT, WIDTH)
    known[:, :, 34, 46] = torch.tensor([11.0, -7.0])  # the middle of one patch

    def error() -> float:
        search = Search(frames, torch.tensor([0]), torch.tensor([1]), stride=3)
        found = search.improved(known)[0, :, 28:40, 40:52]
        return float(torch.hypot(found[0] - 11, found[1] + 7).median())

    assert error() < 0.3
    monkeypatch.setattr(dis, "NEIGHBOURS", ())
    assert error() > 3


def plain_difference(frames: np.ndarray, at: tuple[int, int], u: np.ndarray) -> np.ndarray:
    """I(x + u) - T(x) of the patch at a row and column, pixel by pixel."""
    height, width = frames.shape[1:]
    found = np.empty((SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = at[1] + column + u[0], at[0] + row + u[1]
            left, top = int(np.floor(x)), int(np.floor(y))
            value = 0.0
            for down in (0, 1):
                for right in (0, 1):
                    share = (x - left if right else 1 - x + left) * (y - top if down else 1 - y + top)
                    value += share * frames[1, np.clip(top + down, 0, height - 1), np.clip(left + right, 0, width - 1)]
            found[row, column] = value - frames[0, at[0] + row, at[1] + column]
    return found


@pytest.mark.parametrize("u", [(0.0, 0.0), (2.25, -1.5), (-3.75, 4.5)])
def test_errors_and_steps_are_those_of_the_equation(u: tuple[float, float]) -> None:
    """Of some patches, summed pixel by pixel: e, H and the step of Gauss and Newton."""
    frames, _ = warped(MOTIONS["shift"])
    search = Search(frames, torch.tensor([0]), torch.tensor([1]), stride=5)
    moved = torch.tensor(u).view(2, 1, 1, 1).expand(2, 1, search.rows, search.columns).contiguous()
    found = search._at(moved)
    slopes = [each[0].numpy() for each in gradients(frames)]
    for row, column in ((0, 0), (4, 7), (9, 3)):
        at = 5 * row, 5 * column
        difference = plain_difference(frames.numpy(), at, np.array(u))
        centred = difference - difference.mean()
        assert found.error[0, row, column] == pytest.approx((centred**2).sum(), rel=1e-3)
        if row and column:  # at the border gradients look beyond it
            g = np.stack([slope[at[0] : at[0] + SIDE, at[1] : at[1] + SIDE] for slope in slopes]).reshape(2, -1)
            g = g - g.mean(1, keepdims=True)
            step = np.linalg.solve(g @ g.T, g @ centred.flatten())
            (xx, xy, yy), x, y = search.inverse, found.slope_x, found.slope_y
            mine = [float((one * x + other * y)[0, row, column]) for one, other in ((xx, xy), (xy, yy))]
            assert mine == pytest.approx(step, rel=1e-2, abs=1e-3)


def test_a_pixel_takes_the_mean_of_the_patches_around_it() -> None:
    """Weighed with how well each of them fits there, pixel by pixel."""
    frames, _ = warped(MOTIONS["closer"])
    search = Search(frames, torch.tensor([0]), torch.tensor([1]), stride=3)
    u = torch.randn(2, 1, search.rows, search.columns, generator=torch.Generator().manual_seed(0))
    found = search._dense(u)
    assert found.shape == (1, 2, HEIGHT, WIDTH)
    for y, x in ((0, 0), (30, 41), (50, 70)):
        total = np.zeros(3)
        for row, column in itertools.product(range(search.rows), range(search.columns)):
            top, left = 3 * row, 3 * column
            if 0 <= y - top < SIDE and 0 <= x - left < SIDE and top + SIDE <= HEIGHT and left + SIDE <= WIDTH:
                here = u[:, 0, row, column].numpy()
                difference = plain_difference(frames.numpy(), (top, left), here)[y - top, x - left]
                total += np.array([1, *here]) / max(1, abs(difference))
        assert found[0, :, y, x].numpy() == pytest.approx(total[1:] / total[0], abs=1e-3)


def test_it_fits_as_well_as_that_of_opencv() -> None:
    """What the first frame's pixels look like where flow says they are in the second."""
    frames, _ = warped(MOTIONS["turn"])
    one, other = (frame.byte().numpy() for frame in frames)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    search.setVariationalRefinementIterations(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    errors = []
    for flow in (dense_flow(frames, [(0, 1)], finest=0, stride=3)[0].numpy(), search.calc(one, other, None).transpose(2, 0, 1)):
        there = cv2.remap(other, columns + flow[0], rows + flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        errors.append(np.abs(there.astype(float) - one)[8:-8, 8:-8].mean())
    assert errors[0] < 1.1 * errors[1]


@pytest.mark.parametrize("size", [(12, 12), (12, 200), (17, 31), (480, 854)])
def test_a_pyramid_of_any_size(size: tuple[int, int]) -> None:
    """The coarsest scale is still wide enough for a patch."""
    levels = pyramid(torch.zeros(1, *size), finest=0)
    assert all(min(level.shape[1:]) >= SIDE for level in levels)
    assert len(levels) == {12: 1, 17: 1, 480: 6}[size[0]]


@pytest.mark.parametrize("size", [(12, 12), (12, 40), (17, 31)])
@pytest.mark.parametrize("finest", [0, 1, 3])
def test_small_frames(size: tuple[int, int], finest: int) -> None:
    picture = torch.from_numpy(cv2.cvtColor(texture(0, 40, 60), cv2.COLOR_RGB2GRAY)).float()
    found = dense_flow(torch.stack([picture[: size[0], : size[1]]] * 2), [(0, 1)], finest=finest, stride=3)
    assert found.shape == (1, 2, *size)
    assert found.abs().max() < 0.1
