"""More than 2^31 elements: an index that does not fit 32 bits would show as a wrong state, or crash.

Takes 12 GB and minutes; runs where REVSEG_LARGE=1 is set.
"""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.inference import predict_probabilities
from revseg.network.opening import opened
from revseg.network.volume import Placement
from revseg.reversible.state import State


@pytest.mark.large
def test_states_beyond_two_to_the_31_elements_invert_and_predict_as_small_ones_do():
    """The same frames over and over, along T: what is predicted in the middle of each repetition is the same, too."""
    torch.manual_seed(0)
    net = RevSegNet(channels=4, classes=2, levels=1, depth=(0, 1), rank=1, state_dtype="int16")
    period, height, width = 8, 2160, 3840
    clip = torch.randint(0, 256, (3, period, height // 40, width // 40), dtype=torch.uint8)
    clip = clip.repeat_interleave(40, 2).repeat_interleave(40, 3)
    volume = clip.repeat(1, 9, 1, 1)
    assert 4 * volume[0].numel() > 2**31

    placement = Placement.of(net, volume[None], (0, 0, 0))
    state = State.at_rest(opened(net, volume[None], placement, net.sequence.grid), net.sequence.grid)
    for way in ("forward_", "inverse_"):
        run = net.sequence.begin(state.curr.nbytes, device=state.curr.device)
        getattr(run, way)(state, net.sequence.detached())
    assert torch.equal(state.partner, state.curr)  # as it was opened: (y, y)
    few = opened(net, clip[None], Placement.of(net, clip[None], (0, 0, 0)), net.sequence.grid)
    for start in range(0, volume.shape[1], period):
        assert torch.equal(state.curr[:, start : start + period], few)
    del state

    middle = {}
    for start, part in predict_probabilities(net, volume):
        for index, frame in enumerate(part.unbind(1), start):
            if index % period == period // 2 and period <= index < volume.shape[1] - period:
                middle[index] = frame[:, ::16, ::16].clone()
    first, *others = middle.values()
    assert len(others) == 6
    assert all((first - other).abs().max() < 0.02 for other in others)  # slabs may round differently
