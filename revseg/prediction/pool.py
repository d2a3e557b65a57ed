"""What a network says of a frame, and what evidence says, as one."""

from __future__ import annotations

from torch import Tensor

# Neither is ever so sure that the other is not heard.
LEAST = 1e-3


def pool(network: Tensor, evidence: Tensor, label_count: int) -> Tensor:
    """Logarithmic opinion pool (Genest and Zidek, "Combining probability distributions", Statistical Science, 1986):

        p = normalised( network^m evidence^(1 - m) ),     m = L / (L + 1)

    network, evidence: probabilities (O, H, W); L: the frames whose labels the network has learned from. Each of them counts as
    much as the evidence, which has learned from none: a network that was shown one frame takes its colours for the object's, and
    finds them elsewhere (J, 1 labelled frame: drift-straight 0.474 alone and 0.493 pooled, motocross-jump 0.372 and 0.418).
    """
    share = label_count / (label_count + 1)
    logits = [probabilities.clamp(min=LEAST).log() for probabilities in (network, evidence)]
    return (share * logits[0] + (1 - share) * logits[1]).softmax(0)
