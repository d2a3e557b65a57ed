"""The comparison that kernels must pass before they are used; here convolutions of PyTorch take their place, right and wrong."""

import pytest
import torch

from revseg.reversible.force.convolution import ConvolutionForce
from revseg.reversible.grid import Grid
from tests.reversible.force.forces import layout_of

pytest.importorskip("triton")

CPU = torch.device("cpu")


def layout(grid=None, adjoint=torch.float32):
    return layout_of(torch.empty(12, 4, 3, 3, 3), dtype=torch.bfloat16, grid=grid or Grid(torch.int32, 12), adjoint=adjoint)


@pytest.mark.parametrize(
    ("grid", "adjoint"),
    [(Grid(torch.int32, 12), torch.bfloat16), (Grid(torch.int16, 6), torch.float16), (Grid(torch.float32, None), torch.float32)],
)
def test_what_computes_the_layer_passes(grid, adjoint):
    from revseg.reversible.force.verify import verify_layer

    assert verify_layer(CPU, layout(grid, adjoint), ConvolutionForce) == ""


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("step", "the step differs"),
        ("inverse", "the inverse of a step"),
        ("magnitude", "the largest magnitude"),
        ("adjoint", "the adjoint differs"),
        ("kernel", "the kernel gradient differs"),
        ("bias", "the bias gradient differs"),
    ],
)
def test_what_is_wrong_is_named(what, found):
    from revseg.reversible.force.verify import verify_layer

    class Wrong(ConvolutionForce):
        def kick_slab_(self, fields, slab, *, hidden, sign=1):
            reached = super().kick_slab_(fields, slab, hidden=hidden, sign=sign)
            if what == ("step" if fields.grid.exact else "adjoint"):
                slab.core(fields.partner).add_(300)
                reached = reached if reached is None else fields.grid.magnitude(slab.core(fields.partner))
            return reached + 1 if what == "magnitude" and fields.grid.exact else reached

        def adjoint_slab_(self, fields, adjoint, slab, **settings):
            kernel, bias = super().adjoint_slab_(fields, adjoint, slab, **settings)
            if what == "inverse":
                fields.partner[0, 0, 0, 0] += 1
            return kernel * (1.1 if what == "kernel" else 1), bias * (1.1 if what == "bias" else 1)

    assert found in verify_layer(CPU, layout(), Wrong)
