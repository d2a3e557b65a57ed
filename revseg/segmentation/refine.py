"""Masks sharper than the network's frames: what evidence shows in detail, added to what the network makes of it in the large."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg.evidence.config import RefineConfig
from revseg.evidence.evidence import Evidence
from revseg.network.network import RevSegNet, normalise


@torch.no_grad()
def refine(
    net: RevSegNet, probabilities: Tensor, *, seen: Evidence, evidence: Evidence, frame: int, config: RefineConfig
) -> Tensor:
    """Probabilities (O, h, w) of a frame -> (O, H, W), with the detail of finer evidence.

        logits = up(log p) + confidence^detail_trust (W e_fine - up(W e_seen)),     W: what the head makes of evidence

    seen: the evidence at the size that the network saw; evidence: the same at the size (H, W).
    """
    assert isinstance(net.head, nn.Linear), "the detail of evidence goes through the weights of a linear head"
    weight, size = net.head.weight[:, net.features - net.config.evidence_channels :], evidence.size
    planes = [one.planes(slice(frame, frame + 1))[:, 0].to(weight.device) for one in (seen, evidence)]
    said = [torch.einsum("oe,ehw->ohw", weight, normalise(each)) for each in planes]
    smooth = torch.stack([probabilities.clamp(min=config.least).log(), said[0]])
    large, said_large = F.interpolate(smooth, size, mode="bilinear", align_corners=False)
    trust = (evidence.confidence[frame].to(weight.device) / 255) ** config.detail_trust
    return (large + trust * (said[1] - said_large)).softmax(0)
