"""Decides how the force of a layer is computed, what memory that takes, whether it can be trusted, and what to compile before.

    fused         Triton kernels, on a GPU with bfloat16 convolutions        ``revseg.reversible.force.fused``
    product       matrix products, where channels outnumber the rank         ``revseg.reversible.force.product``
    convolution   convolutions of PyTorch, slab by slab, everywhere          ``revseg.reversible.force.convolution``

The choice is a rule of device, shapes and dtypes, and of the verdict on the kernels, which stands for the whole process: every
pass over a state takes the same one.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from revseg.reversible.activation import RELU
from revseg.reversible.force import boundary, convolution, product
from revseg.reversible.force.convolution import ConvolutionForce
from revseg.reversible.force.force import Force, Layout
from revseg.reversible.force.product import ProductForce, is_wide
from revseg.reversible.force.sharded_convolution import ShardedConvolutionForce
from revseg.reversible.force.sharded_product import ShardedProductForce
from revseg.reversible.force.slab import slab_size
from revseg.reversible.kernels import dispatch, switch
from revseg.reversible.kernels.tile import workspace_bytes
from revseg.reversible.shard import Shard

Kind = Literal["fused", "product", "convolution"]


def choose(layout: Layout, device: torch.device) -> Kind:
    """Returns the way in which a layer is computed on a device that is at hand. The first call on a GPU compiles its kernels."""
    if switch.on() and _fits_kernels(layout) and dispatch.available(device) and _agrees(device, layout):
        return "fused"
    return without_kernels(layout)


def expected(layout: Layout, device_type: str) -> Kind:
    """Returns the way on a device that need not be at hand: a GPU of compute capability 8.0 or more whose kernels agree."""
    return "fused" if device_type == "cuda" and dispatch.expected() and _fits_kernels(layout) else without_kernels(layout)


def prepare(kind: Kind, kernel: Tensor, bias: Tensor, *, step_size: float, layout: Layout, shard: Shard | None = None) -> Force:
    """Returns the force of a layer, ready for one pass; kind: as ``choose`` says. shard: which of several; None: alone."""
    if shard is not None and shard.count > 1 and layout.radii[0]:  # K of one frame reaches no neighbour
        sharded = ShardedProductForce if kind == "product" else ShardedConvolutionForce
        return sharded(kernel, bias, step_size=step_size, layout=layout, shard=shard)
    if kind == "fused":
        from revseg.reversible.force.fused import FusedForce

        return FusedForce(kernel, bias, step_size=step_size, layout=layout)
    return (ProductForce if kind == "product" else ConvolutionForce)(kernel, bias, step_size=step_size, layout=layout)


def temporary_bytes(
    layout: Layout, shape: tuple[int, ...], *, budget: int, device_type: str, training: bool, sharded: bool = False
) -> int:
    """Bytes that the force needs beside a field (T, H, W, C), within about ``budget`` bytes a slab.

    sharded: whether it is that of a shard, with neighbours on both sides.
    """
    kind = without_kernels(layout) if sharded else expected(layout, device_type)
    ends = boundary.temporary_bytes(layout, shape, training=training) if sharded else 0
    if kind == "fused":
        # The workspaces of a and d with a halo of one convolution; no low-precision copy.
        per_position = workspace_bytes(layout.rank)
        length, rows = slab_size(shape, radii=layout.radii, position_bytes=per_position, budget=budget)
        return (length + 2) * (rows + 2) * shape[2] * per_position
    if kind == "product":
        return ends + product.temporary_bytes(layout, shape, budget=budget, training=training)
    return ends + convolution.temporary_bytes(layout, shape, budget)


def hidden_bytes(layout: Layout, shape: tuple[int, ...]) -> int:
    """Bytes of s(K y + b) that ``keep_hidden`` keeps of a field (T, H, W, C)."""
    positions = shape[0] * shape[1] * shape[2]
    return positions * layout.rank * layout.convolution_dtype.itemsize if layout.keeps_hidden else 0


def _fits_kernels(layout: Layout) -> bool:
    """Whether the kernels can do it. 16 channels are the least inner dimension of a product; 4 and 8 are read as windows."""
    channels = layout.channels in (4, 8) or layout.channels % 16 == 0
    dtypes = layout.grid.dtype in dispatch.CONTAINERS and layout.adjoint_dtype in dispatch.ADJOINTS
    shape = channels and layout.kernel_size == (3, 3, 3) and layout.rank <= dispatch.LARGEST_RANK
    return shape and dtypes and layout.convolution_dtype == torch.bfloat16 and layout.activation is RELU


def without_kernels(layout: Layout) -> Kind:
    """Returns the way by PyTorch alone, as on a shard: the kernels know no neighbours."""
    return "product" if is_wide(layout.channels, layout.rank) else "convolution"


@cache
def _agrees(device: torch.device, layout: Layout) -> bool:
    from revseg.reversible.force.verify import verify_layer

    dtypes = f"{layout.grid.dtype} states, {layout.adjoint_dtype} adjoints"
    name = f"leapfrog step ({layout.channels} channels, rank {layout.rank}, {dtypes})"
    return dispatch.verdict(lambda: verify_layer(device, layout), name, device)
