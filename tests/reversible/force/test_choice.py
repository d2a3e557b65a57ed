"""Which way a layer is computed: a rule, the verdict on the kernels, and what memory it takes."""

import pytest
import torch

from revseg.reversible.activation import ACTIVATIONS
from revseg.reversible.force import choice, convolution, product
from revseg.reversible.force.choice import choose, expected, hidden_bytes, prepare, temporary_bytes
from revseg.reversible.force.convolution import ConvolutionForce
from revseg.reversible.force.product import ProductForce
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch, switch
from tests.reversible.force.forces import layout_of

CPU = torch.device("cpu")


def layout(channels=32, rank=16, size=(3, 3, 3), dtype=torch.bfloat16, grid=None, adjoint=torch.float32, activation="relu"):
    kernel = torch.empty(rank, channels, *size, device="meta")
    return layout_of(kernel, dtype=dtype, grid=grid or Grid(), adjoint=adjoint, activation=activation)


@pytest.fixture(autouse=True)
def fresh():
    choice._agrees.cache_clear()
    yield
    choice._agrees.cache_clear()


def test_a_cpu_never_uses_kernels():
    assert choose(layout(), CPU) == "convolution"
    assert choose(layout(channels=1024), CPU) == "product"
    assert expected(layout(), "cpu") == "convolution"


def test_supported_shapes_and_dtypes():
    fitting = [layout(channels=c) for c in (4, 8, 16, 32, 48, 256, 2048)]
    fitting += [layout(grid=Grid(torch.int16, 8), adjoint=dtype) for dtype in (torch.bfloat16, torch.float16)]
    fitting += [layout(grid=Grid(torch.float32, None))]
    assert {expected(each, "cuda") for each in fitting} == {"fused"}
    others = [layout(channels=3), layout(channels=12), layout(rank=65), layout(size=(5, 5, 5)), layout(size=(1, 3, 3))]
    others += [layout(dtype=torch.float32), layout(adjoint=torch.float64), layout(grid=Grid(torch.float64, None))]
    others += [layout(activation=name) for name in ACTIVATIONS if name != "relu"]
    assert {expected(each, "cuda") for each in others} == {"convolution"}
    assert expected(layout(channels=2048, size=(5, 5, 5)), "cuda") == "product"


def test_fused_where_kernels_fit_are_there_agree_and_are_switched_on(monkeypatch):
    monkeypatch.setattr(dispatch, "available", lambda device: True)
    monkeypatch.setattr(choice, "_agrees", lambda device, layout: layout.rank == 16)
    assert choose(layout(), CPU) == "fused"
    assert choose(layout(rank=8), CPU) == "convolution"  # its kernels do not agree
    assert choose(layout(dtype=torch.float32), CPU) == "convolution"
    switch.enable(False)
    try:
        assert choose(layout(), CPU) == "convolution"
    finally:
        switch.enable(True)


def test_each_way_has_its_force():
    kernel, bias = torch.zeros(2, 4, 3, 3, 3), torch.zeros(2)
    for kind, force in (("convolution", ConvolutionForce), ("product", ProductForce)):
        made = prepare(kind, kernel, bias, step_size=0.5, layout=layout(4, 2))
        assert type(made) is force
        assert made.step_size == 0.5


def verified(monkeypatch, check):
    """Makes the kernels available, and ``check`` what compares them with PyTorch."""
    monkeypatch.setattr(dispatch, "available", lambda device: True)
    monkeypatch.setattr("revseg.reversible.force.verify.verify_layer", check)


def test_a_verdict_stands_for_the_whole_process(monkeypatch):
    pytest.importorskip("triton")
    asked = []
    verified(monkeypatch, lambda device, layout: asked.append(layout) or "the step differs")
    with pytest.warns(UserWarning, match=r"leapfrog step \(32 channels, rank 16, .*: PyTorch instead .* the step differs"):
        assert choose(layout(), CPU) == "convolution"
    assert choose(layout(), CPU) == "convolution"
    assert len(asked) == 1


def test_memory_that_runs_out_is_no_verdict(monkeypatch):
    """The error goes on to the caller, and the next use checks again."""
    pytest.importorskip("triton")
    answers = [torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError("CUDA out of memory"), ""]

    def check(device, layout):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    verified(monkeypatch, check)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            choose(layout(), CPU)
    assert choose(layout(), CPU) == choose(layout(), CPU) == "fused"
    assert not answers


def test_temporaries_are_those_of_the_way_that_is_expected():
    shape, budget = (24, 40, 64, 32), 1 << 20
    settings = {"budget": budget, "training": True}
    convolutions, wide = layout(), layout(channels=1024)
    assert temporary_bytes(convolutions, shape, device_type="cpu", **settings) == convolution.temporary_bytes(
        convolutions, shape, budget
    )
    assert temporary_bytes(wide, (4, 5, 6, 1024), device_type="cpu", **settings) == product.temporary_bytes(
        wide, (4, 5, 6, 1024), budget, True
    )
    fused = temporary_bytes(convolutions, shape, device_type="cuda", **settings)
    assert fused <= 2 * budget
    whole = temporary_bytes(convolutions, shape, device_type="cuda", budget=1 << 30, training=True)
    assert whole == 26 * 42 * 64 * 2 * 16 * 2  # a and d of all positions and one around, rank 16, 2 bytes


def test_bytes_that_are_kept():
    assert hidden_bytes(layout(channels=32, rank=16), (2, 3, 4, 32)) == 24 * 16 * 2
    assert hidden_bytes(layout(channels=31, rank=16), (2, 3, 4, 31)) == 0
