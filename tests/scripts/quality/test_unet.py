"""The UNet that revseg is compared with."""

import pytest
import torch
from quality import unet

pytestmark = pytest.mark.slow


class Threshold(torch.nn.Conv3d):
    """A network that knows: an object is what is brighter than average."""

    def __init__(self) -> None:
        super().__init__(3, 2, 1)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1).expand(-1, 3, -1, -1, -1))
            self.bias.zero_()


def test_every_frame_of_a_padded_video_is_predicted() -> None:
    volume = (torch.rand(3, 19, 10, 18, generator=torch.Generator().manual_seed(0)) > 0.5).to(torch.uint8) * 255
    found = torch.stack(list(unet.probabilities(Threshold(), volume)))
    assert found.shape == (19, 2, 10, 18)
    assert torch.equal(found.argmax(1) == 1, volume.float().mean(0) > 120)


def test_it_begins_with_what_evidence_says() -> None:
    """Channels after RGB: a probability of each class, and the confidence."""
    net = torch.nn.Conv3d(7, 3, 1)
    torch.nn.init.zeros_(net.weight)
    torch.nn.init.zeros_(net.bias)
    volume = torch.randint(0, 256, (7, 5, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = torch.stack(list(unet.probabilities(unet.Corrected(net, 3), volume)))
    assert torch.equal(found.argmax(1), volume[3:6].float().argmax(0))


@pytest.mark.parametrize("inputs", [3, 6])
def test_monai(inputs: int) -> None:
    net = unet.new_unet(inputs, 2, 0, torch.device("cpu"))
    volume = torch.zeros(inputs, 5, 20, 30, dtype=torch.uint8)
    assert unet.logits(net, volume, (11, 3, 2)).shape == (2, 5, 20, 30)
