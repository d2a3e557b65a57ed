"""What the peers compute: the same network, the same operations."""

import pytest
import torch
from speed.case import Case
from speed.peers import Otherwise, Revseg

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def data(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    volume = torch.randint(0, 256, (1, 3, *case.size), dtype=torch.uint8, generator=generator)
    size = (1, len(case.labelled_frames), *case.size[1:])
    return volume, torch.randint(0, 2, size, dtype=torch.uint8, generator=generator)


def gradients(model, case: Case) -> torch.Tensor:
    model.step(*data(case), case.labelled_frames)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize(("way", "tolerance"), [("naive", 1e-2), ("plain", 5e-2), ("checkpoint", 5e-2)])
def test_the_same_network_has_the_same_gradients(way: str, tolerance: float) -> None:
    """In float32 they are revseg's; the fast ones may use bfloat16."""
    case = Case("revseg", (8, 16, 16), (1, 1, 1), rank=4)
    mine = gradients(Revseg(case, CPU, convolution_dtype="float32"), case)
    assert (gradients(Otherwise(case, CPU, way), case) - mine).norm() <= tolerance * mine.norm()


def test_all_ways_give_the_same_masks() -> None:
    case = Case("revseg", (8, 14, 16), (0, 1, 1), "infer", rank=4)
    volume, _ = data(case)
    mask = Revseg(case, CPU).infer(volume)
    assert mask.shape == case.size
    for way in ("plain", "naive"):
        assert (Otherwise(case, CPU, way).infer(volume) == mask).float().mean() > 0.95, way


def test_operations_of_revseg_are_those_that_pytorch_counts() -> None:
    """The formula against torch.utils.flop_counter on the naive network, opening and head left out."""
    from torch.utils.flop_counter import FlopCounterMode

    case = Case("naive", (8, 16, 16), (1, 0, 2), rank=4)
    model = Otherwise(case, CPU, "naive")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.network.state(torch.zeros(1, 3, *case.size, dtype=torch.uint8))
    convolutions = counter.get_flop_counts()["Global"]
    counted = sum(n for operation, n in convolutions.items() if "convolution" in str(operation))
    assert counted == model.forward_flops(case.size)
