"""What is compiled of how an opinion is enlarged, sharpened and heard: PyTorch's numbers, whatever the sizes."""

import numpy as np
import pytest
import torch

from revseg.evidence import by_looks
from revseg.evidence.looks import weigh, weighed
from revseg.evidence.native import opinion
from revseg.evidence.native.library import compiled

pytestmark = pytest.mark.skipif(not compiled(), reason="nothing can be compiled here")

# Classes, the size of an opinion, and another one: larger, the same, smaller, and of a line.
SIZES = [(2, (24, 42), (48, 85)), (5, (17, 23), (40, 61)), (3, (1, 1), (3, 5)), (2, (5, 7), (5, 7)), (4, (40, 61), (17, 23))]


def said(classes: int, size: tuple[int, int]) -> torch.Tensor:
    drawn = -6 * torch.rand(classes, *size, generator=torch.Generator().manual_seed(classes))
    return drawn - drawn.max(0).values


def some(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).random(size) < 0.4


@pytest.mark.parametrize(("classes", "small", "size"), SIZES)
def test_evidence_is_weighed_as_by_pytorch(classes: int, small: tuple[int, int], size: tuple[int, int]) -> None:
    """Of a frame among others; where nothing is known it stays, and so does what is certain."""
    planes = torch.randint(256, (classes + 1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    evidence = planes[:, 1]
    evidence[:-1, 0], evidence[-1, -1] = 0, 255
    found = weighed(evidence, said(classes, small), 0.75, fades=3.2)
    expected = weigh(evidence.float() / 255, said(classes, small), 0.75, fades=3.2).mul_(255).round_()
    assert found.dtype == torch.uint8
    differs = (found - expected).abs()
    assert differs.max() <= 1
    assert (differs > 0).float().mean() < 0.01  # halves are rounded either way
    assert not found[:, 0].any()


@pytest.mark.parametrize(("classes", "small", "size"), SIZES)
def test_the_likeliest_is_that_of_pytorch(classes: int, small: tuple[int, int], size: tuple[int, int]) -> None:
    larger = by_looks._larger(said(classes, small), size)
    found = torch.from_numpy(opinion.likeliest(said(classes, small), size)).long()
    assert torch.allclose(larger.gather(0, found[None])[0], larger.max(0).values, atol=1e-5)
    assert opinion.likeliest(torch.zeros(classes, *small), size).max() == 0


@pytest.mark.parametrize(("classes", "small", "size"), SIZES)
def test_some_of_an_opinion_is_finer(classes: int, small: tuple[int, int], size: tuple[int, int]) -> None:
    near, finely = some(size), torch.rand(classes, int(some(size).sum()))
    expected = by_looks._larger(said(classes, small), size)
    expected[:, torch.from_numpy(near)] = finely
    torch.testing.assert_close(opinion.sharpen(said(classes, small), near, finely), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("classes", "small", "size"), SIZES)
def test_numbers_are_enlarged_as_by_opencv(classes: int, small: tuple[int, int], size: tuple[int, int]) -> None:
    """From parts of longer rows to such, of which nothing else is touched."""
    near, rows = some(size), torch.rand(*small, classes + 3)
    found = torch.full((int(near.sum()), classes + 5), torch.nan)
    opinion.enlarge(rows[..., 2:-1], near, into=found[:, 3:-2])
    expected = by_looks._enlarged(rows[..., 2:-1], size)[torch.from_numpy(near)]
    torch.testing.assert_close(found[:, 3:-2], expected, atol=1e-4, rtol=0)
    assert found[:, [0, 1, 2, -2, -1]].isnan().all()
