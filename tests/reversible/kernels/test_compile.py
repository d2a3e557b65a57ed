"""The kernels compile for GPUs that are not there: down to machine code that uses matrix instructions."""

import importlib.util

import pytest
import torch

from revseg.reversible.force.force import Fields
from revseg.reversible.force.slab import Slab
from revseg.reversible.grid import Grid
from tests.reversible.force.forces import layout_of
from tests.reversible.kernels.conftest import INTERPRETED

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.skipif(INTERPRETED or torch.cuda.is_available(), reason="the kernels run here"),
]


class Absent:
    """Stands for the driver of a GPU of the given compute capability."""

    def __init__(self, capability: int) -> None:
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self):
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


@pytest.fixture
def compiled(monkeypatch):
    """Kernels compiled since; launching one only compiles it."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    kernels = []
    run = JITFunction.run

    def compile_only(self, *arguments, grid, warmup, **options):
        kernels.append(run(self, *arguments, grid=grid, warmup=True, **options | {"INTERPRETED": False}))

    monkeypatch.setattr(JITFunction, "run", compile_only)
    driver.set_active(Absent(90))
    yield kernels
    driver._active = None  # found anew where it is next asked for


@pytest.mark.parametrize("adjoint", [torch.bfloat16, torch.float16])
def test_kernels_compile_for_hopper(compiled, adjoint, monkeypatch):
    from revseg.reversible.force import fused
    from revseg.reversible.force.fused import FusedForce
    from revseg.reversible.kernels.haar import coarsen_group_
    from revseg.reversible.kernels.tile import HOPPER

    monkeypatch.setattr(fused, "generation_of", lambda device: HOPPER)  # the tiles of its table
    kernel = torch.randn(16, 32, 3, 3, 3)
    layout = layout_of(kernel, dtype=torch.bfloat16, grid=Grid(torch.int16, 8), adjoint=adjoint)
    force = FusedForce(kernel, torch.zeros(16), 1.0, layout)
    fields, adjoints = ([torch.zeros(2, 4, 16, 32, dtype=dtype) for _ in range(2)] for dtype in (torch.int16, adjoint))
    state, carried = Fields(*fields, layout.grid), Fields(*adjoints, Grid(adjoint, None))
    slab = Slab(0, 2, 0, 4, 2, 4, (1, 1, 1))
    force.adjoint_slab_(state, carried, slab, y=state.curr, hidden=force.hidden(state.curr, slab))
    coarsen_group_(torch.zeros(2, 4, 8, 4), torch.zeros(1, 2, 4, 32), True, True)

    assert len(compiled) == 6
    *convolutions, haar = (kernel.asm["ptx"] for kernel in compiled)
    assert all("wgmma.mma_async" in ptx for ptx in convolutions)
    assert "fma.rn" not in haar  # a contraction would change bits between coarsening and refining
