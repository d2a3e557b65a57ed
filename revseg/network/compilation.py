"""What the first step on a GPU would wait for, done while the processor is busy with the video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module

import torch

from revseg.network.config import NetworkConfig
from revseg.network.network import adjoint_dtype_of, convolution_dtype_of, grid_of
from revseg.network.plan import blocks_of
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch

# Kernels at a time. Triton lets go of Python's lock while it compiles: 33 kernels on 2 cores, 1 at a time 16.9 s, 3 8.1 s.
WORKERS = 4


@contextmanager
def compiled_meanwhile(config: NetworkConfig, device: torch.device) -> Iterator[None]:
    """The fused kernels of a network, in the background of a with block; at its end they are there. On a CPU there are none.

    Where the block ends with an exception, those not begun are given up.
    """
    with ThreadPoolExecutor(WORKERS, "compile") as pool:
        compiled = [pool.submit(task) for task in tasks(config, device)]
        try:
            yield
            for each in compiled:
                each.result()
        finally:
            pool.shutdown(cancel_futures=True)


def tasks(config: NetworkConfig, device: torch.device) -> list[Callable[[], object]]:
    """What ``dispatch`` is asked in a step: its first answer compiles. Empty where no kernel can be used."""
    if not dispatch.available(device):
        return []
    device = torch.empty(0, device=device).device  # with its number, as dispatch will see it
    convolution, grid, adjoint = convolution_dtype_of(config), grid_of(config), adjoint_dtype_of(config)
    blocks = blocks_of(config)
    layers = {(block.channels, block.rank) for block in blocks if block.kind == "leapfrog"}
    fine = {block.channels for block in blocks if block.kind == "coarsen"}
    layouts = [dispatch.Layout(*layer, config.kernel_size, convolution, grid, adjoint) for layer in sorted(layers)]
    fields = [
        (torch.empty(1, 1, 1, channels, dtype=kind.dtype, device=device), kind)
        for channels in sorted(fine)
        for kind in (grid, Grid(adjoint, None))
    ]
    return [
        partial(import_module, "torch._dynamo"),  # which PyTorch's optimizers import when one is made: seconds
        *(partial(dispatch.usable, device, layout) for layout in layouts),
        *(partial(dispatch.usable_for_haar, *field) for field in fields),
    ]
