"""When the kernels are used: a rule, and a check that may say no."""

import subprocess
import sys

import pytest
import torch

from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch
from revseg.reversible.kernels.compiler import compiler

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def test_importing_revseg_does_not_import_triton():
    code = "import sys, revseg.network.network; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cpu_never_uses_kernels():
    assert not dispatch.available(CPU)
    assert not dispatch.usable_for_haar(torch.zeros(2, 2, 2, 4), Grid())


def test_a_failing_check_warns_once_and_falls_back():
    pytest.importorskip("triton")
    with pytest.warns(UserWarning, match="PyTorch instead of the fused kernels on cpu: the step differs"):
        assert not dispatch.verdict(lambda: "the step differs", "leapfrog step", CPU)

    def no_compiler() -> str:
        raise RuntimeError("Failed to find C compiler")

    with pytest.warns(UserWarning, match="Failed to find C compiler"):
        assert not dispatch.verdict(no_compiler, "leapfrog step", CPU)
    assert dispatch.verdict(lambda: "", "leapfrog step", CPU)


def test_memory_that_runs_out_is_no_verdict(monkeypatch):
    """Of the Haar kernels either: the error goes on to the caller, and the next use checks again."""
    pytest.importorskip("triton")
    answers = [torch.OutOfMemoryError("CUDA out of memory"), ""]

    def check(device, channels, dtype, exact):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(dispatch, "available", lambda device: True)
    monkeypatch.setattr("revseg.reversible.kernels.verify.verify_haar", check)
    dispatch._haar_agrees.cache_clear()
    try:
        with pytest.raises(torch.OutOfMemoryError):
            dispatch.usable_for_haar(torch.zeros(2, 2, 2, 4), Grid())
        assert dispatch.usable_for_haar(torch.zeros(2, 2, 2, 4), Grid())
        assert dispatch.usable_for_haar(torch.zeros(2, 2, 2, 4), Grid())
    finally:
        dispatch._haar_agrees.cache_clear()


def test_the_compiler_is_looked_for_as_triton_does(monkeypatch, tmp_path):
    for name in ("clang", "own"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert compiler() == str(tmp_path / "clang")
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    assert compiler() == str(tmp_path / "gcc")
    monkeypatch.setenv("CC", str(tmp_path / "own"))
    assert compiler() == str(tmp_path / "own")


def test_without_a_compiler_one_warning_says_what_it_costs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    device = torch.device("cuda", 7)
    dispatch._can_compile.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"no C compiler .* several times slower .* install gcc") as warned:
            assert not any(dispatch._can_compile(device) for _ in range(2))
        assert len(warned) == 1
    finally:
        dispatch._can_compile.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not dispatch.expected()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert dispatch.expected()  # planned for another machine
