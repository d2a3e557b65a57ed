"""Compares what is compiled with OpenCV and PyTorch, on small frames, before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from revseg.evidence.config import FlowConfig
from revseg.evidence.fields import SUBPIXEL, Link
from revseg.evidence.looks import gradients_of
from revseg.evidence.native.fields import CompiledFields
from revseg.evidence.native.perceptron import Perceptron, gradients
from revseg.evidence.opencv import OpenCVFields

LINES, COLUMNS = 48, 72
"""Size of the frames, in pixels."""
PIXELS = 0.05
"""By so much flow may differ in the mean, in pixels. Here it is the same to the bit, but another OpenCV may round otherwise."""
SHARE = 1e-3
"""Likewise sums and gradients, as a share of their largest value."""


def verify() -> str:
    """Returns what is wrong with what is compiled, or an empty string."""
    return next((f"what was compiled finds other {what}" for what, alike in _compared() if not alike), "")


def _compared() -> Iterator[tuple[str, bool]]:
    """Yields what is compared, and whether it is the same."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (3, 2, LINES // 4, COLUMNS // 4), generator=random).float()
    volume = torch.nn.functional.interpolate(coarse, (LINES, COLUMNS), mode="bilinear").to(torch.uint8)
    volume[:, 1] = volume[:, 0].roll((2, -3), (1, 2))  # so far the second frame is moved
    ours, theirs = (kind(volume, FlowConfig(), factor=1) for kind in (CompiledFields, OpenCVFields))
    found, known = (fields.find([(0, 1)], 0)[0].astype(np.float32) / SUBPIXEL for fields in (ours, theirs))
    yield "flow than OpenCV", bool(np.abs(found - known).mean() <= PIXELS)
    displacement = (known * SUBPIXEL).astype(np.int16)
    planes = volume[:, 1].numpy().astype(np.float32)
    sums = [fields.gathered(planes, [Link(planes, fields.way(displacement), planes[0])]) for fields in (ours, theirs)]
    yield "values along flow than OpenCV", _alike(*sums)
    agreements = [fields.agreement((0, 1), fields.way(displacement), fields.way(-displacement)) for fields in (ours, theirs)]
    yield "agreement of flow than OpenCV", _alike(*agreements)
    network = Perceptron(torch.randn(20 * 48 + 48 + 48 * 48 + 48 + 48 * 3 + 3, generator=random) / 7, 20, hidden=48, classes=3)
    seen, classes = torch.randn(100, 20, generator=random), torch.randint(3, (100,), generator=random)
    learned = [find(network, seen, classes, rows=torch.arange(100)).numpy() for find in (gradients, gradients_of)]
    yield "gradients than PyTorch", _alike(*learned)


def _alike(found: NDArray[np.float32], known: NDArray[np.float32]) -> bool:
    return bool(np.abs(found - known).mean() <= SHARE * np.abs(known).max())
