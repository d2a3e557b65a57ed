"""What is compiled for the CPU: the bits of PyTorch, whatever the shapes; and PyTorch where there is no compiler."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsen_, refine_
from revseg.reversible.kernels import switch
from revseg.reversible.kernels.native import fields
from revseg.reversible.kernels.native import library as native

SUBSETS = [axes for axes in itertools.product((True, False), repeat=3) if any(axes)]
FLOATS = [torch.float16, torch.bfloat16, torch.float32]


@pytest.fixture(autouse=True)
def compiled():
    if native.library() is None:
        pytest.skip("nothing can be compiled here")


def values(*shape, scale=100.0, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def without(call):
    """What PyTorch makes of the same."""
    switch.enable(False)
    try:
        return call()
    finally:
        switch.enable(True)


# The last: more channels than a tile has elements. Widths of 1, of less than a vector, of several tiles.
SHAPES = [(2, 2, 2, 1), (4, 6, 34, 1), (2, 4, 1200, 1), (4, 8, 16, 3), (2, 4, 22, 8), (2, 2, 6, 300)]


@pytest.mark.parametrize("axes", SUBSETS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_levels_on_the_grid_have_the_bits_of_pytorch(dtype, shape, axes):
    grid = Grid(dtype, 4)
    fine = grid.store(values(*shape))
    coarse = coarsen_(fine.clone(), axes, grid, 1 << 24)
    assert torch.equal(coarse, without(lambda: coarsen_(fine.clone(), axes, grid, 1 << 24)))
    assert torch.equal(refine_(coarse.clone(), axes, grid, 1 << 24), fine)
    assert torch.equal(without(lambda: refine_(coarse.clone(), axes, grid, 1 << 24)), fine)


@pytest.mark.parametrize("axes", SUBSETS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_levels_of_an_adjoint_are_those_of_pytorch_but_for_rounding(dtype, shape, axes):
    grid, fine = Grid(torch.float32, None), values(*shape).to(dtype)
    for change, field in ((coarsen_, fine), (refine_, without(lambda: coarsen_(fine.clone(), axes, grid, 1 << 24)))):
        found = change(field.clone(), axes, grid, 1 << 24)
        expected = without(lambda change=change, field=field: change(field.clone(), axes, grid, 1 << 24))
        assert (found.float() - expected.float()).abs().max() <= 2 * torch.finfo(dtype).eps * field.float().abs().max()


def test_what_leaves_the_range_of_a_state_is_seen():
    grid = Grid(torch.int16, 4)
    fine = torch.full((2, 2, 2, 1), 32766, dtype=torch.int16)
    coarse = coarsen_(fine.clone(), (True, True, True), grid, 1 << 24)
    assert coarse.max() == 32767
    assert torch.equal(coarse, without(lambda: coarsen_(fine.clone(), (True, True, True), grid, 1 << 24)))


@pytest.mark.parametrize("rows", [slice(None), slice(2, 5)])  # a slab of some rows lies in pieces
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(3, 7, 5, 1), (4, 9, 300, 8)])
def test_kicks_on_the_grid_have_the_bits_of_pytorch(shape, dtype, rows):
    grid = Grid(torch.int16, 4)
    partner, curr = (grid.store(values(*shape, seed=seed)) for seed in (0, 1))
    force = values(*shape, seed=2)[:, rows].to(dtype).contiguous()
    found, expected = partner.clone(), partner.clone()
    reached = grid.kick_(found[:, rows], curr[:, rows], force.clone())
    told = without(lambda: grid.kick_(expected[:, rows], curr[:, rows], force.clone()))
    assert torch.equal(found, expected)
    assert reached == told
    grid.kick_(found[:, rows], curr[:, rows], force.clone())
    assert torch.equal(found, partner)


@pytest.mark.parametrize("worst", [float("nan"), float("inf"), 40000.0])
def test_a_kick_tells_how_far_it_went(worst):
    grid, force = Grid(torch.int16, 4), torch.zeros(2, 3, 5, 8)
    force[1, 2, 3, 4] = worst
    partner, curr = torch.ones(2, 2, 3, 5, 8, dtype=torch.int16)
    reached = grid.kick_(partner, curr, force)
    assert torch.equal(reached, torch.tensor(abs(1 - worst)).double()) or (reached.isnan() and worst != worst)


@pytest.mark.parametrize("force_dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sign", [1, -1])
def test_kicks_of_an_adjoint_have_the_bits_of_pytorch(dtype, force_dtype, sign):
    grid = Grid(torch.float32, None)
    velocity, curr = values(2, 3, 5, 700, 3).to(dtype)
    force = values(3, 5, 700, 3, seed=1).to(force_dtype)
    found, expected = velocity.clone(), velocity.clone()
    assert grid.kick_(found, curr, force.clone(), sign) is None
    without(lambda: grid.kick_(expected, curr, force.clone(), sign))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("rows", [slice(None), slice(2, 5)])
@pytest.mark.parametrize(
    ("source", "target"), [(torch.int16, torch.bfloat16), (torch.float16, torch.bfloat16), (torch.int16, torch.float32)]
)
def test_copies_have_the_bits_of_pytorch(source, target, rows):
    field = values(4, 9, 300, 8, scale=3000).to(source)
    found, expected = torch.zeros(2, *field.shape, dtype=target)
    assert fields.copies(found[:, rows], field[:, rows])
    fields.copy_(found[:, rows], field[:, rows])
    expected[:, rows].copy_(field[:, rows])
    assert torch.equal(found, expected)
    assert not fields.copies(found[:, :, 1:], field[:, :, 1:])  # in more pieces


def test_any_number_of_threads_makes_the_same():
    grid, fine = Grid(torch.int16, 4), Grid(torch.int16, 4).store(values(8, 64, 64, 8))
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(coarsen_(fine.clone(), (True, True, True), grid, 1 << 24))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, found[0]) for one in found)


STEP = """
import sys, warnings, torch
from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsen_
from revseg.reversible.kernels.native.library import library
field = torch.arange(4 * 8 * 8, dtype=torch.int16).view(4, 8, 8, 1)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        coarse = coarsen_(field.clone(), (True, True, True), Grid(torch.int16, 4), 1 << 20)
print(library() is not None, int(coarse.long().square().sum()), *(str(one.message) for one in told), sep="|")
"""


def step(tmp_path: Path, **environment: str) -> subprocess.Popen[str]:
    given = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment}
    return subprocess.Popen([sys.executable, "-c", STEP], env=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def told(process: subprocess.Popen[str]) -> list[str]:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip().split("|")


@pytest.mark.slow
def test_without_a_compiler_pytorch_makes_the_same_and_says_so_once(tmp_path):
    used, expected = told(step(tmp_path))
    assert used == "True"
    assert len(list((tmp_path / "cache/revseg/kernels").iterdir())) == 1  # what it made, and nothing else
    (kept,) = (tmp_path / "cache/revseg/kernels").iterdir()
    kept.write_bytes(b"")  # as a power cut leaves it
    assert told(step(tmp_path)) == ["True", expected]
    used, found, message = told(step(tmp_path, PATH="/nowhere", CC=""))
    assert (used, found) == ("False", expected)
    assert message.endswith("there is no C compiler (gcc, clang, or CC); install gcc")


@pytest.mark.slow
def test_a_compiler_that_fails_is_quoted(tmp_path):
    (tmp_path / "cc").write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    used, _, message = told(step(tmp_path, CC=str(tmp_path / "cc")))
    assert used == "False"
    assert message.endswith("half as long again: no space left")


@pytest.mark.slow
def test_a_home_that_cannot_be_written_and_many_at_once(tmp_path):
    (tmp_path / "cache").write_text("a file, where a folder should be")
    assert told(step(tmp_path))[0] == "True"
    (tmp_path / "cache").unlink()
    assert {told(process)[0] for process in [step(tmp_path) for _ in range(4)]} == {"True"}
    assert len(list((tmp_path / "cache/revseg/kernels").iterdir())) == 1
