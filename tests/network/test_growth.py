"""Weights for further classes: what was learned of the others stays as it is."""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.growth import grown

SETTINGS = {"channels": 2, "levels": 1, "depth": 1, "rank": 4, "arithmetic": "float", "convolution_dtype": "float32"}


def networks(evidence: bool, classes: int = 4) -> tuple[RevSegNet, RevSegNet]:
    """A network of 2 classes with weights that no initialisation gives, and one of more that has grown from it."""
    torch.manual_seed(0)
    old, new = (RevSegNet(**SETTINGS, classes=count, evidence=evidence) for count in (2, classes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in old.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)
    new.load_state_dict(grown(old.state_dict(), old.config, new))
    return old, new


@torch.no_grad()
def test_the_logits_of_known_classes_stay() -> None:
    """Where the evidence of the further classes is in the middle, which is 0 to a network."""
    old, new = networks(evidence=True)
    volume = torch.randn(1, 3 + 3, 4, 8, 8)
    wider = torch.cat([volume[:, :5], torch.zeros(1, 2, 4, 8, 8), volume[:, 5:]], 1)
    torch.testing.assert_close(new(wider)[:, :2], old(volume))


def test_a_further_class_begins_with_what_the_evidence_says_of_it() -> None:
    _, new = networks(evidence=True)
    on_evidence = new.head.weight[2:, -5:]
    torch.testing.assert_close(on_evidence, torch.eye(5)[2:4], rtol=0, atol=1e-3)
    assert new.head.bias[2:].tolist() == [0, 0]


@torch.no_grad()
@pytest.mark.parametrize("classes", [2, 3])
def test_without_evidence(classes: int) -> None:
    old, new = networks(evidence=False, classes=classes)
    volume = torch.randn(1, 3, 4, 8, 8)
    torch.testing.assert_close(new(volume)[:, :2], old(volume))
