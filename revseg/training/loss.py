"""Cross-entropy and Dice as functions of sums over pixels; void and unlabelled pixels count nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from revseg.labels.palette import VOID
from revseg.training.config import LossConfig


class SegmentationLoss:
    """Weighted sum of cross-entropy and Dice of the pixels that are not void; p = softmax(logits), y =
    one-hot label:

        cross-entropy = sum(-log p[label]) / count
        Dice_c        = (2 sum(p_c y_c) + 1) / (sum(p_c) + sum(y_c) + 1),  mean over the objects c >= 1
                        (Milletari et al., V-Net, arXiv:1606.04797; the 1 makes an absent object cost little)

    The statistics of a set of pixels are, one after the other: count, sum(-log p), then per object the sums
    of p y, p and y, and, for J, the pixels in intersection and union of the hard decision. They add up over
    slabs.
    """

    def __init__(self, config: LossConfig | None = None) -> None:
        self.config = config or LossConfig()

    def statistics(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (M, O), labels (M,) long -> sums, float32, (2 + 5 (O - 1),)."""
        # Void pixels stay among the others and count 0: to pick out the rest, a GPU would have to wait for their number. Class by
        # class, and in floating-point numbers: a CPU sums truth values, and along short rows, in four times the time.
        logs = logits.float().T.contiguous().log_softmax(0)
        valid = labels != VOID
        counts, objects = valid.to(logs.dtype), torch.arange(1, len(logs), device=labels.device)[:, None]
        p, y = logs[1:].exp(), (labels == objects).to(logs.dtype)
        likeliest = logs.detach().max(0).indices  # argmax takes ten times as long
        found = (likeliest == objects).to(logs.dtype) * counts
        error = -(logs.gather(0, labels.masked_fill(~valid, 0)[None])[0] * counts).sum()
        both, true = (found * y).sum(1), y.sum(1)
        sums = [(p * y).sum(1), (p * counts).sum(1), true, both, found.sum(1) + true - both]
        return torch.cat([counts.sum()[None], error[None], *sums])

    def value(self, statistics: Tensor) -> Tensor:
        """The loss of summed statistics, 0-d."""
        count, error = statistics[:2]
        overlap, predicted, true = statistics[2:].view(5, -1)[:3]
        dice = (2 * overlap + 1) / (predicted + true + 1)
        return self.config.cross_entropy * error / count.clamp(min=1) + self.config.dice * (1 - dice.mean())


def region_similarity(statistics: Tensor) -> Tensor:
    """J of the hard decision over all pixels together, not the mean over frames; mean over the objects: 0-d."""
    intersection, union = statistics[2:].detach().view(5, -1)[3:]
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0).mean()
