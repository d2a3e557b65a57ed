"""Where what is compiled of the evidence is used, and what happens where nothing can be compiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import revseg
from revseg.evidence.config import FlowConfig
from revseg.evidence.flow import Flow
from revseg.evidence.native.fields import CompiledFields
from revseg.evidence.native.library import compiled
from revseg.evidence.opencv import OpenCVFields
from revseg.evidence.store import FlowStore
from revseg.evidence.tensors import TensorFields
from revseg.reversible.kernels import switch

VOLUME = torch.zeros(3, 2, 16, 24, dtype=torch.uint8)


def fields_of(method, volume=VOLUME):
    return type(Flow(volume, FlowConfig(method=method), store=FlowStore()).fields)


def test_the_setting_says_what_computes():
    if not compiled():
        pytest.skip("nothing can be compiled here")
    assert fields_of("auto") is fields_of("compiled") is CompiledFields
    assert fields_of("opencv") is OpenCVFields
    assert fields_of("torch") is TensorFields
    assert fields_of("auto", VOLUME[:, :, :1]) is OpenCVFields  # a line has no neighbour
    switch.enable(False)
    try:
        assert fields_of("compiled") is OpenCVFields
    finally:
        switch.enable(True)


def test_what_another_one_computed_is_not_taken_over():
    keys = {Flow(VOLUME, FlowConfig(method=method), store=FlowStore()).key for method in ("compiled", "opencv", "torch")}
    assert len(keys) == (3 if compiled() else 2)


@pytest.mark.parametrize("method", ["compiled", "opencv"])
@pytest.mark.parametrize("size", [(1, 333), (1, 1), (2, 2), (3, 90), (12, 40), (200, 7)])
def test_frames_of_few_lines_have_flow(size, method):
    volume = torch.randint(0, 256, (3, 4, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    flow = Flow(volume, FlowConfig(method=method), store=FlowStore())
    for pair in ((0, 1), (0, 2), (0, 3)):  # found, composed, and at half the resolution
        assert flow.displacement(*pair).shape == (2, *size)


FOUND = """
import hashlib, warnings
import numpy as np, torch
from revseg.evidence.config import FlowConfig
from revseg.evidence.flow import Flow
from revseg.evidence.store import FlowStore
volume = torch.randint(0, 256, (3, 3, 64, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        flow = Flow(volume, FlowConfig(), store=FlowStore())
        found = [flow.displacement(*pair) for pair in ((0, 1), (1, 0), (0, 2))]
digest = hashlib.sha256(np.stack(found[:2])).hexdigest()
print(type(flow.fields).__name__, digest, found[2].shape, *(str(one.message) for one in told), sep="|")
"""


def found(tmp_path: Path, **environment: str) -> list[str]:
    given = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment}
    done = subprocess.run([sys.executable, "-c", FOUND], env=given, cwd=tmp_path, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


@pytest.mark.slow
def test_without_a_compiler_opencv_computes_and_one_line_says_so(tmp_path):
    if not compiled():
        pytest.skip("nothing can be compiled here")
    by, digest, shape = found(tmp_path)
    assert (by, shape) == ("CompiledFields", "(2, 64, 96)")
    by, others, shape, message = found(tmp_path, PATH="/nowhere", CC="")
    assert (by, shape) == ("OpenCVFields", "(2, 64, 96)")
    assert message.endswith("there is no C compiler (gcc, clang, or CC); install gcc")
    assert "evidence" in message
    assert len(digest) == len(others) == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "right", "wrong", "finds"),
    [
        ("dis_dense.h", "(to_x) + weight * u", "(to_x) - weight * u", "flow than OpenCV"),
        ("warp.c", "all(1.0f / SUBPIXEL)", "all(1.1f / SUBPIXEL)", "values along flow than OpenCV"),
        ("warp.c", "exponential(exponent), all(least)", "exponential(exponent), all(1)", "agreement of flow than OpenCV"),
        ("perceptron.c", "sums[r][v] += weight", "sums[r][v] -= weight", "gradients than PyTorch"),
    ],
)
def test_what_is_compiled_wrongly_is_not_used(tmp_path, name, right, wrong, finds):
    if not compiled():
        pytest.skip("nothing can be compiled here")
    shutil.copytree(Path(revseg.__file__).parent, tmp_path / "revseg", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "revseg" / "evidence" / "native" / name
    assert right in (text := file.read_text())
    file.write_text(text.replace(right, wrong))
    by, _, _, message = found(tmp_path, PYTHONPATH=str(tmp_path))
    assert by == "OpenCVFields"
    assert message.endswith(f"what was compiled finds other {finds}")
