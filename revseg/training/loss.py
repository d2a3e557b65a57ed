"""Cross-entropy and Dice as functions of sums over pixels; void and unlabelled pixels count nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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
        # Void pixels stay among the others and count 0: to pick out the rest, a GPU would have to wait for their number.
        valid = (labels != VOID)[:, None]
        logits = logits.float()
        objects = torch.arange(1, logits.shape[1], device=labels.device)
        y = labels[:, None] == objects
        p = logits.softmax(1)[:, 1:].masked_fill(~valid, 0)
        found = (logits.argmax(1)[:, None] == objects) & valid
        error = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="sum")
        sums = [(p * y).sum(0), p.sum(0), y.sum(0), (found & y).sum(0), (found | y).sum(0)]
        return torch.cat([part.to(error.dtype) for part in (valid.sum(0), error[None], *sums)])

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
