"""Compiles the kernels of a network while the processor is busy with the video; the first step on a GPU would wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch

from revseg.network.config import NetworkConfig
from revseg.network.memory import layout_of
from revseg.network.network import adjoint_dtype_of, grid_of
from revseg.network.plan import blocks_of
from revseg.reversible.force.choice import choose
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch

# Kernels compiled at a time. Triton releases Python's lock while it compiles: on 2 cores 33 kernels take 16.9 s one by one,
# and 8.1 s with 3 at a time.
WORKERS = 4


@contextmanager
def compiled_meanwhile(config: NetworkConfig, device: torch.device) -> Iterator[None]:
    """Compiles the fused kernels of a network in the background of a with block; they are ready at its end. A CPU has none.

    Where the block ends with an exception, the compilations that have not started are cancelled.
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
    """Returns the choices and checks of kernels in a step: the first call of each compiles. Empty where no kernel can be used."""
    if not dispatch.available(device):
        return []
    device = torch.empty(0, device=device).device  # with its number, as dispatch gets it in a step
    grid, adjoint = grid_of(config), adjoint_dtype_of(config)
    blocks = blocks_of(config)
    layouts = dict.fromkeys(layout_of(config, block) for block in blocks if block.kind == "leapfrog")
    fine = {block.channels for block in blocks if block.kind == "coarsen"}
    fields = [
        (torch.empty(1, 1, 1, channels, dtype=kind.dtype, device=device), kind)
        for channels in sorted(fine)
        for kind in (grid, Grid(adjoint, None))
    ]
    return [
        *(partial(choose, layout, device) for layout in layouts),
        *(partial(dispatch.usable_for_haar, *field) for field in fields),
    ]
