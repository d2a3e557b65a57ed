"""How evidence is kept: of every pixel the probability of each class, and the confidence in them, a byte each, times 255."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from revseg.evidence.flow import Field


def to_bytes(values: Field) -> Tensor:
    """0 ... 1 -> 0 ... 255."""
    return torch.from_numpy((255 * values).round().astype(np.uint8))


def from_bytes(values: Tensor) -> Field:
    """0 ... 255 -> 0 ... 1."""
    return values.numpy().astype(np.float32) / np.float32(255)


def resize_evidence(evidence: Tensor, size: tuple[int, int]) -> Tensor:
    """(classes + 1, T, H, W) uint8 -> (classes + 1, T, h, w) uint8, means over areas."""
    if evidence.shape[2:] == size:
        return evidence
    result = evidence.new_empty(*evidence.shape[:2], *size)
    for frame, part in enumerate(evidence.unbind(1)):
        result[:, frame] = F.interpolate(part[None].float(), size, mode="area")[0].round_()
    return result
