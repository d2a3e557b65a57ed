"""What one way through a sequence and back needs beside the state: fixed when it begins, so that the way back is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from revseg.reversible.force.choice import Kind, choose, without_kernels
from revseg.reversible.force.force import Layout
from revseg.reversible.shard import Shard


@dataclass
class Context:
    """Settings of one pass, taken when it begins."""

    convolution_dtype: torch.dtype
    adjoint_dtype: torch.dtype
    budget: int
    """Bytes of a slab's temporaries."""
    conditions: tuple[Tensor, ...] = ()
    """Second inputs, for blocks that are conditioned."""
    images: bool = False
    """Whether modules within blocks see (N, C, H, W): T is 1."""
    kept: list[list[list[Tensor]]] | None = None
    """Hidden activations of each block, sample and slab, put there on the way forwards; None keeps none."""
    condition_gradients: list[Tensor | None] = field(default_factory=list)
    """d(loss)/d(condition), summed over the blocks on the way back."""
    shard: Shard | None = None
    """Which part of a volume this process holds; None: all of it."""
    allow_tf32: bool = field(default_factory=lambda: torch.backends.cudnn.allow_tf32)
    matmul_tf32: bool = field(default_factory=lambda: torch.backends.cuda.matmul.allow_tf32)
    kinds: dict[tuple[Layout, torch.device], Kind] = field(default_factory=dict)

    def kind(self, layout: Layout, device: torch.device) -> Kind:
        """Returns how a layer is computed: as it was the first time in this pass."""
        if (layout, device) not in self.kinds:
            self.kinds[layout, device] = choose(layout, device) if self.shard is None else without_kernels(layout)
        return self.kinds[layout, device]

    @contextmanager
    def same_kernels(self) -> Iterator[None]:
        """Makes libraries take the same kernels in every pass, and the dtypes those of the context.

        cuDNN's autotuner may change its mind between a pass and its inverse; autocast would change dtypes; and TF32 is what it
        was when the pass began.
        """
        before = torch.backends.cuda.matmul.allow_tf32
        with (
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=self.allow_tf32),
            torch.autocast("cuda", enabled=False),
            torch.autocast("cpu", enabled=False),
        ):
            torch.backends.cuda.matmul.allow_tf32 = self.matmul_tf32
            try:
                yield
            finally:
                torch.backends.cuda.matmul.allow_tf32 = before
