"""What a network says of a frame, and what evidence says, as one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# Neither is ever so sure that the other is not heard.
LEAST = 1e-3
# Share of a network that was shown one frame: it takes that frame's colours for the object's, and finds them elsewhere. J alone,
# with half, a quarter and none of the say: motocross-jump 0.318, 0.361, 0.398, 0.433; libby 0.481, 0.487, 0.495, 0.572; but
# scooter-black 0.604, 0.599, 0.587, 0.560, and F of motocross-jump 0.415, 0.441, 0.452, 0.407.
OF_ONE_FRAME = 0.25
# Native J&F with 0, 1, 2 and 4, 5 labelled, height 96: kite-surf 0.802, 0.816, 0.825, 0.833, drift-straight 0.943, 0.942, 0.941,
# 0.941.
DETAIL = 2


def pool(network: Tensor, evidence: Tensor, label_count: int, seen: tuple[int, int]) -> Tensor:
    """Logarithmic opinion pool (Genest and Zidek, "Combining probability distributions", Statistical Science, 1986):

        p = normalised( network^m evidence^(1 - m) ),     m = L / (L + 1) (1 - |evidence - evidence as seen|)^2

    network, evidence: probabilities (O, H, W); L: the frames whose labels the network has learned from. Each of them counts as
    much as the evidence, which has learned from none; a single one counts less, 1/4 for L / (L + 1). seen: the size (h, w) at
    which the network sees the evidence. What is too thin to be seen there the network cannot judge.
    """
    share = OF_ONE_FRAME if label_count == 1 else label_count / (label_count + 1)
    coarse = F.interpolate(evidence[None], seen, mode="area")
    unseen = (evidence - F.interpolate(coarse, evidence.shape[1:], mode="bilinear", align_corners=False)[0]).abs().amax(0)
    shares = share * (1 - unseen) ** DETAIL
    logits = [probabilities.clamp(min=LEAST).log() for probabilities in (network, evidence)]
    return (shares * logits[0] + (1 - shares) * logits[1]).softmax(0)
