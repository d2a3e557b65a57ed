"""Probabilities of a network that sees evidence, with the detail of finer evidence."""

import pytest
import torch
from torch import Tensor

from revseg import RevSegNet
from revseg.evidence.config import RefineConfig
from revseg.evidence.evidence import Evidence
from revseg.network.network import normalise
from revseg.segmentation.refine import refine

CONFIG = RefineConfig()
LEAST = CONFIG.least


@pytest.fixture
def net() -> RevSegNet:
    torch.manual_seed(0)
    return RevSegNet(channels=2, classes=3, levels=1, depth=1, rank=3, evidence=True)


def evidence_of(labels: Tensor, classes: int = 3) -> Tensor:
    """Labels (H, W), all of them certain."""
    planes = labels == torch.arange(classes)[:, None, None]
    return 255 * torch.cat([planes, torch.ones_like(planes[:1])]).to(torch.uint8)


def refined_by(net: RevSegNet, probabilities: Tensor, seen: Tensor, fine: Tensor, config: RefineConfig = CONFIG) -> Tensor:
    """The last of three frames; the evidence of the others is another."""
    both = (Evidence.from_planes(torch.stack([255 - planes, 0 * planes, planes], 1)) for planes in (seen, fine))
    return refine(net, probabilities, seen=next(both), evidence=next(both), frame=2, config=config)


def coarser(evidence: Tensor, factor: int) -> Tensor:
    means = evidence.float().unflatten(1, (-1, factor)).unflatten(3, (-1, factor)).mean((2, 4))
    return means.round().to(torch.uint8)


def said(net: RevSegNet, evidence: Tensor, correction: Tensor | float = 0.0) -> Tensor:
    """Probabilities (O, h, w) of a network whose head adds a correction to what it makes of evidence."""
    weight = net.head.weight.detach()[:, 2 * net.config.channels :]
    return (torch.einsum("oe,ehw->ohw", weight, normalise(evidence)) + correction).softmax(0)


def test_without_finer_evidence_nothing_changes(net: RevSegNet) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(3, 9, 13, generator=generator).mul(3).softmax(0)
    evidence = torch.randint(0, 256, (4, 9, 13), dtype=torch.uint8, generator=generator)
    assert torch.allclose(refined_by(net, probabilities, evidence, evidence), probabilities, atol=2 * LEAST)


def test_nor_where_probabilities_are_0(net: RevSegNet) -> None:
    """As float16 sums over several placements leave them."""
    probabilities = torch.zeros(3, 4, 5)
    probabilities[1] = 1
    evidence = evidence_of(torch.zeros(4, 5))
    refined = refined_by(net, probabilities, evidence, evidence)
    assert refined.isfinite().all()
    assert torch.allclose(refined, probabilities, atol=3 * LEAST)


def test_probabilities_sum_to_one(net: RevSegNet) -> None:
    fine = evidence_of(torch.randint(0, 3, (16, 24), generator=torch.Generator().manual_seed(0)))
    coarse = coarser(fine, 4)
    refined = refined_by(net, said(net, coarse), coarse, fine)
    assert refined.shape == (3, 16, 24)
    assert torch.allclose(refined.sum(0), torch.ones(16, 24))
    assert not refined.requires_grad


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_edges_are_placed_as_in_the_finer_evidence(net: RevSegNet, strength: float) -> None:
    """Where the network follows the evidence: a slanted edge that coarse pixels cannot show; whatever the head's weights."""
    with torch.no_grad():
        net.head.weight.mul_(strength)
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    labels = (columns > 20 + rows // 3).long() + (rows > 40).long()
    fine = evidence_of(labels)
    coarse = coarser(fine, 8)
    probabilities = said(net, coarse)
    refined = refined_by(net, probabilities, coarse, fine).argmax(0)
    smooth = torch.nn.functional.interpolate(probabilities[None], (48, 64), mode="bilinear")[0].argmax(0)
    assert (smooth != labels).float().mean() > 0.015
    assert torch.equal(refined, labels)


def test_the_network_has_the_last_word(net: RevSegNet) -> None:
    """Evidence misses an object; the network, sure of it, is followed, and elsewhere the finer evidence."""
    labels = torch.zeros(48, 64, dtype=torch.long)
    labels[:, 33:] = 1
    fine = evidence_of(labels)
    coarse = coarser(fine, 8)
    correction = torch.zeros(3, 6, 8)
    correction[2, 1:4, 1:3] = 12.0
    refined = refined_by(net, said(net, coarse, correction), coarse, fine).argmax(0)
    assert (refined[12:28, 12:20] == 2).all()
    assert torch.equal(refined[:, 28:], labels[:, 28:])
    assert torch.equal(refined[40:], labels[40:])


def test_a_weak_doubt_does_not_move_an_edge(net: RevSegNet) -> None:
    labels = torch.zeros(16, 32, dtype=torch.long)
    labels[:, 14:] = 1
    fine = evidence_of(labels)
    coarse = coarser(fine, 4)
    correction = torch.zeros(3, 4, 8)
    correction[0] = 1.0
    assert torch.equal(refined_by(net, said(net, coarse, correction), coarse, fine).argmax(0), labels)


def test_where_nothing_is_known_only_the_network_counts(net: RevSegNet) -> None:
    """Detail of evidence that is not to be trusted is none."""
    generator = torch.Generator().manual_seed(0)
    fine = evidence_of(torch.randint(0, 3, (16, 24), generator=generator))
    fine[-1, :, :12] = 0
    coarse = coarser(fine, 4)
    probabilities = said(net, coarse, torch.randn(3, 4, 6, generator=generator))
    refined = refined_by(net, probabilities, coarse, fine)
    smooth = torch.nn.functional.interpolate(probabilities.log()[None], (16, 24), mode="bilinear")[0].softmax(0)
    assert torch.allclose(refined[..., :12], smooth[..., :12], atol=1e-5)
    assert not torch.allclose(refined[..., 12:], smooth[..., 12:], atol=0.1)


def test_trust_of_detail(net: RevSegNet) -> None:
    """To the power of 0 all detail counts, whatever the confidence; a high power leaves none where it is not certain."""
    generator = torch.Generator().manual_seed(0)
    fine = evidence_of(torch.randint(0, 3, (16, 24), generator=generator))
    half = fine.clone()
    half[-1] = 127
    coarse = coarser(half, 4)
    probabilities = said(net, coarse)
    smooth = torch.nn.functional.interpolate(probabilities.log()[None], (16, 24), mode="bilinear")[0].softmax(0)
    none = refined_by(net, probabilities, coarse, half, RefineConfig(detail_trust=40.0))
    assert torch.allclose(none, smooth, atol=1e-3)
    all_ = refined_by(net, probabilities, coarse, half, RefineConfig(detail_trust=0.0))
    assert torch.equal(all_.argmax(0), fine[:-1].argmax(0))


def test_floor_of_the_networks_probabilities(net: RevSegNet) -> None:
    """The higher it is, the less a network that is certain stands against the evidence's detail."""
    labels = torch.zeros(16, 24, dtype=torch.long)
    labels[:, 10:] = 1
    fine = evidence_of(labels)
    coarse = coarser(fine, 4)
    certain = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1).expand(3, 4, 6)
    found = [refined_by(net, certain, coarse, fine, RefineConfig(least=least))[1] for least in (1e-6, 1e-4, 1e-2)]
    assert (found[0] < found[1]).all()
    assert (found[1] < found[2]).all()
