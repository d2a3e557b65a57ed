"""Compares the Haar kernels with PyTorch on a small field: integers must have the same bits.

The check returns a reason against the kernels, or an empty string.
"""

from __future__ import annotations

import torch

from revseg.reversible import haar
from revseg.reversible.grid import Grid
from revseg.reversible.kernels.haar import coarsen_group_, refine_group_

# Relative to the largest value: adjoints of bfloat16 differ by 4e-3.
TOLERANCE = 2e-2


def verify_haar(device: torch.device, channels: int, dtype: torch.dtype, exact: bool) -> str:
    """Compares coarsening and refining of one small group with the PyTorch path, with and without T."""
    generator = torch.Generator().manual_seed(0)
    grid = Grid(dtype, 8) if exact else Grid(dtype, None)
    values = torch.randn(2, 6, 10, channels, generator=generator) * 1000
    fine = (values.round() if exact else values).to(dtype).to(device)
    for halve_time in (True, False):
        axes = (halve_time, True, True)
        coarse = torch.empty(haar.coarse_shape(fine.shape, axes), dtype=dtype, device=device)
        coarsen_group_(fine, coarse, halve_time=halve_time, exact=exact)
        refined = torch.empty_like(fine)
        refine_group_(coarse, refined, halve_time=halve_time, exact=exact)
        # On the CPU, where no kernel is asked for: whether one may be used is only being found out here.
        truth = haar.coarsen_(fine.cpu().clone(), axes=axes, grid=grid, group_bytes=1 << 20).to(device)
        if exact and not (torch.equal(coarse, truth) and torch.equal(refined, fine)):
            return "the transform differs from PyTorch's in its bits"
        largest = (coarse.float() - truth.float()).abs().amax(), (refined.float() - fine.float()).abs().amax()
        if not max(map(float, largest)) <= TOLERANCE * float(fine.abs().amax()):
            return "the transform differs from PyTorch's"
    return ""
