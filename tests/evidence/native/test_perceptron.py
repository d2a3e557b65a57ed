"""What a compiled perceptron says and how it learns: as PyTorch does, whatever the sizes, and the same each time."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from revseg.evidence.looks import gradients_of, layers_of
from revseg.evidence.native.library import compiled
from revseg.evidence.native.perceptron import Perceptron, add_odds, gradients

pytestmark = pytest.mark.skipif(not compiled(), reason="nothing can be compiled here")

CLIP = 6.0
# Inputs, hidden, classes: those of looks; less than a vector; more than a few; as many classes as there can be.
SIZES = [(21, 48, 2), (28, 48, 3), (1, 1, 1), (5, 7, 9), (33, 100, 255), (3, 16, 4)]
COUNTS = [0, 1, 3, 47, 48, 500]


def network(inputs: int, hidden: int, classes: int, *, scale: float = 0.5) -> Perceptron:
    numbers = hidden * (inputs + 1) + (hidden + classes) * hidden + hidden + classes
    drawn = torch.randn(numbers, generator=torch.Generator().manual_seed(inputs))
    return Perceptron(scale * drawn, inputs, hidden, classes)


def values(count: int, inputs: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, inputs, generator=torch.Generator().manual_seed(seed))


def logits(parts: list[torch.Tensor], seen: torch.Tensor) -> torch.Tensor:
    first, first_bias, second, second_bias, last, last_bias = parts
    return F.linear(F.linear(F.linear(seen, first, first_bias).relu(), second, second_bias).relu(), last, last_bias)


def expected(of: Perceptron, seen: torch.Tensor) -> torch.Tensor:
    said = logits([part.double() for part in layers_of(of)], seen.double()).T
    return (said - said.max(0).values).clamp(min=-CLIP)


def odds(of: Perceptron, seen: torch.Tensor) -> torch.Tensor:
    found = torch.full((of.classes, len(seen)), torch.nan)
    add_odds(of, seen, found, clip=CLIP)
    return found


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("sizes", SIZES)
def test_odds_are_those_of_pytorch(sizes: tuple[int, int, int], count: int) -> None:
    of, seen = network(*sizes), values(count, sizes[0])
    torch.testing.assert_close(odds(of, seen).double(), expected(of, seen), atol=1e-4, rtol=1e-4)


def test_some_are_clipped() -> None:
    of, seen = network(21, 48, 3), values(500, 21)
    clipped = odds(of, seen) == -CLIP
    assert 0.05 < clipped.float().mean() < 0.95
    assert torch.equal(odds(of, seen).max(0).values, torch.zeros(500))


def test_shares_are_added_of_parts_of_rows() -> None:
    """In rows that are longer, of which nothing else is read."""
    one, other, seen = network(21, 48, 3), network(28, 48, 3), values(333, 40)
    seen[:, 28:] = torch.nan
    found = torch.full((3, 333), torch.nan)
    add_odds(one, seen[:, :21], found, clip=CLIP, share=0.5)
    add_odds(other, seen[:, :28], found, clip=CLIP, share=0.5, add=True)
    mean = (expected(one, seen[:, :21]) + expected(other, seen[:, :28])) / 2
    torch.testing.assert_close(found.double(), mean, atol=1e-4, rtol=1e-4)


def test_the_same_wherever_the_numbers_lie_and_in_several_threads() -> None:
    of, seen = network(28, 48, 2), values(700, 28)
    known = odds(of, seen)
    memory = torch.empty(700 * 28 + 16)
    for offset in (1, 3, 8):
        moved = memory[offset:][: seen.numel()].view_as(seen).copy_(seen)
        assert torch.equal(odds(of, moved), known)
    assert torch.equal(odds(of, seen[5:]), known[:, 5:])  # in other tiles
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(one, known) for one in pool.map(partial(odds, of), [seen] * 40))


@pytest.mark.parametrize("count", [1, 47, 48, 500])
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_those_of_autograd(sizes: tuple[int, int, int], count: int) -> None:
    """Of both: those that are compiled, and those of PyTorch's operators."""
    of, seen = network(*sizes, scale=0.2), values(60, sizes[0])
    random = torch.Generator().manual_seed(1)
    known, rows = (torch.randint(most, (size,), generator=random) for most, size in ((sizes[2], 60), (60, count)))
    parts = [part.double().requires_grad_() for part in layers_of(of)]
    loss = F.cross_entropy(logits(parts, seen[rows].double()), known[rows])
    wanted = torch.cat([part.flatten() for part in torch.autograd.grad(loss, parts)])
    for find in (gradients, gradients_of):
        found = find(of, seen, known, rows=rows)
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max() + 1e-7


def test_gradients_are_the_same_in_several_threads() -> None:
    of, seen, known = network(28, 48, 3), values(300, 28), torch.arange(300) % 3
    rows = torch.arange(1000) % 300
    expected = gradients(of, seen, known, rows=rows)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: gradients(of, seen, known, rows=rows), range(40))
        assert all(torch.equal(one, expected) for one in found)
