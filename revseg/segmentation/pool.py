"""What a network says of a frame, and what evidence says, as one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from revseg.evidence.config import PoolConfig


def pool(network: Tensor, evidence: Tensor, *, label_count: int, seen: tuple[int, int], config: PoolConfig) -> Tensor:
    """Logarithmic opinion pool (Genest and Zidek, "Combining probability distributions", Statistical Science, 1986):

        p = normalised( network^m evidence^(1 - m) ),     m = L / (L + 1) (1 - |evidence - evidence as seen|)^detail

    network, evidence: probabilities (O, H, W); L: the frames whose labels the network has learned from. Each of them counts as
    much as the evidence, which has learned from none; a single one counts less, `of_one_frame` for L / (L + 1): such a network
    takes that frame's colours for the object's, and finds them elsewhere. seen: the size (h, w) at which the network sees the
    evidence. What is too thin to be seen there the network cannot judge.
    """
    share = config.of_one_frame if label_count == 1 else label_count / (label_count + 1)
    coarse = F.interpolate(evidence[None], seen, mode="area")
    unseen = (evidence - F.interpolate(coarse, evidence.shape[1:], mode="bilinear", align_corners=False)[0]).abs().amax(0)
    shares = share * (1 - unseen) ** config.detail
    # The floor of both probabilities, so that neither can veto the other.
    logits = [probabilities.clamp(min=config.least).log() for probabilities in (network, evidence)]
    return (shares * logits[0] + (1 - shares) * logits[1]).softmax(0)
