"""When the kernels are used: a rule, and a check that may say no."""

import subprocess
import sys

import pytest
import torch

from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch
from revseg.reversible.kernels.dispatch import Layout

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def layout(channels=32, rank=16, size=3, dtype=torch.bfloat16, grid=None, adjoint=torch.float32) -> Layout:
    return Layout(channels, rank, size, dtype, grid or Grid(), adjoint)


def test_importing_revseg_does_not_import_triton():
    code = "import sys, revseg.network.network; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cpu_never_uses_kernels():
    assert not dispatch.usable(CPU, layout())
    assert not dispatch.usable_for_haar(torch.zeros(2, 2, 2, 4), Grid())


def test_supported_shapes_and_dtypes():
    assert all(layout(channels=c).supported for c in (4, 8, 16, 32, 48, 256, 2048))
    assert layout(grid=Grid(torch.int16, 8), adjoint=torch.bfloat16).supported
    assert layout(grid=Grid(torch.float32, None)).supported
    others = [layout(channels=3), layout(channels=12), layout(rank=65), layout(size=5)]
    others += [layout(dtype=torch.float32), layout(adjoint=torch.float64)]
    others += [layout(grid=Grid(torch.float64, None))]
    assert not any(other.supported for other in others)


def test_a_failing_check_warns_once_and_falls_back():
    pytest.importorskip("triton")
    with pytest.warns(UserWarning, match="PyTorch instead of the fused kernels on cpu: the step differs"):
        assert not dispatch._verdict(lambda: "the step differs", "leapfrog step", CPU)

    def no_compiler() -> str:
        raise RuntimeError("Failed to find C compiler")

    with pytest.warns(UserWarning, match="Failed to find C compiler"):
        assert not dispatch._verdict(no_compiler, "leapfrog step", CPU)
    assert dispatch._verdict(lambda: "", "leapfrog step", CPU)
