"""The number of threads changes no bit: a state made with some is undone with others."""

import pytest
import torch

from revseg.reversible.force.product import is_wide
from tests.reversible.sequences import build, exact, gradients, layers_of, start

THREADS = (1, 2, 3, 4)


@pytest.fixture
def threads():
    """Sets the number of threads; puts it back at the end."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("depths", [(2, 2), (0, 0, 2)])
@pytest.mark.parametrize("convolution", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("container", [torch.float32, torch.int16])
def test_states_have_the_same_bits_and_are_undone_with_any_number(container, convolution, depths, threads):
    """Large enough to be shared out. On level 2, 128 channels meet rank 2: matrix products."""
    sequence = build(depths, rank=2, grid=exact(container), convolution=convolution, slab_bytes=1 << 20)
    assert any(is_wide(layer.channels, layer.rank) for layer in layers_of(sequence)) == (len(depths) == 3)
    state, found = start(sequence, (1, 2, 8, 32, 40)), []
    with torch.no_grad():
        for number in THREADS:
            threads(number)
            found.append(sequence(*state))
        for number, after in zip(THREADS, reversed(found), strict=True):
            threads(number)
            assert all(map(torch.equal, after, found[0]))
            assert all(map(torch.equal, sequence.inverse(*after), state))


@pytest.mark.parametrize("convolution", [torch.float32, torch.bfloat16])
def test_a_backward_pass_with_other_threads_comes_back_to_the_start(convolution, threads):
    """It checks this itself; and the gradients are the same up to the order of their sums, rounded to the convolutions' dtype."""
    sequence, found = build((1, 1, 2), rank=2, grid=exact(torch.float32), convolution=convolution), []
    for number in (1, 3):
        inputs = [part.requires_grad_() for part in start(sequence, (1, 2, 8, 16, 16))]
        threads(4 - number)
        outputs = sequence(*inputs)
        threads(number)
        found.append(gradients(sequence, outputs, inputs))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() <= (1e-4 if convolution == torch.float32 else 2e-4) * other.norm()
