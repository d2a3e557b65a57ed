"""The forecast: by hand for its parts, against a real step in a process of its own for its sum."""

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from revseg import RevSegNet
from revseg.network.config import NetworkConfig
from revseg.network.memory import (
    convolution_operations,
    forecast_prediction,
    forecast_training,
    largest,
    parameters,
    slab_budget,
)
from revseg.reversible.run import SLAB_BYTES
from revseg.reversible.state import State

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_states_and_adjoints_by_hand():
    config = NetworkConfig(state_dtype="int16", adjoint_dtype="bfloat16")
    forecast = forecast_training(config, (100, 480, 864), device="cuda", any_offset=False)
    voxels = 104 * 480 * 864  # 4 channels, 2 bytes, 2 fields of each
    assert (forecast.states, forecast.adjoints) == (2 * 4 * 2 * voxels, 2 * 4 * 2 * voxels)
    assert forecast.input == 4 * 100 * 480 * 864
    assert forecast.floor == forecast.states + forecast.adjoints
    assert forecast_prediction(config, (100, 480, 864)).adjoints == 0


def test_work_of_the_default_network():
    """10 blocks, each unit 2 * 27 * rank operations per element of the state: 11.5 TFLOP for 480p x 100."""
    config = NetworkConfig()
    elements = 4 * 104 * 480 * 864
    assert convolution_operations(config, (104, 480, 864)) == 10 * 2 * 27 * 16 * elements
    forecast = forecast_training(config, (100, 480, 864), device="cuda", any_offset=False)
    assert forecast.operations == pytest.approx(11.5e12, rel=0.05)


VARIANTS = [{}, {"channels": 3, "depth": 1, "rank": (2, 3, 4, 5)}, {"levels": 1, "depth": 2, "kernel_size": 1}]


@pytest.mark.parametrize("settings", VARIANTS)
def test_parameters_are_those_of_the_network(settings):
    assert parameters(NetworkConfig(**settings)) == sum(p.numel() for p in RevSegNet(**settings).parameters())


def test_any_offset_pads_at_most_a_multiple_more():
    near, far = (forecast_training(NetworkConfig(), (16, 64, 64), device="cpu", any_offset=at) for at in (False, True))
    assert far.states / near.states == pytest.approx((24 * 72 * 72) / (16 * 64 * 64))


def test_kept_hidden_activations():
    """rank x positions x bytes of each block with channels of twice the rank: level 1 (16 channels, on 2 ways) and level 3
    (1024, once), not level 0 (2 channels)."""
    config = NetworkConfig(channels=2, rank=(2, 8, 4, 4), depth=(1, 1, 0, 2), keep_hidden=True, convolution_dtype="bfloat16")
    forecast = forecast_training(config, (16, 64, 64), device="cpu", any_offset=False)
    assert forecast.hidden == 2 * (8 * 2 * 8 * 32 * 32 + 4 * 2 * 2 * 8 * 8)
    more = replace(config, rank=(2, 9, 4, 4))
    assert forecast_training(more, (16, 64, 64), device="cpu", any_offset=False).hidden == 2 * 4 * 2 * 2 * 8 * 8


def test_kept_hidden_activations_are_those_that_a_pass_keeps():
    net = RevSegNet(channels=4, rank=(4, 16), levels=1, depth=(1, 2), keep_hidden=True, convolution_dtype="bfloat16")
    state = State.from_pair(*torch.zeros(2, 1, 4, 8, 16, 24), net.sequence.grid)
    run = net.sequence.begin(state.curr.nbytes, device=state.curr.device, keep_hidden=True)
    run.forward_(state, net.sequence.detached())
    held = [hidden for samples in run.context.kept for sample in samples for hidden in sample]
    forecast = forecast_training(net.config, (8, 16, 24), device="cpu", any_offset=False)
    assert len(held) == 2
    assert forecast.hidden == sum(hidden.untyped_storage().nbytes() for hidden in held)


def test_a_slab_of_all_frames_by_hand():
    """6 channels x 3 copies + rank 64 x 3 at each position, in bfloat16, and no halo; with less room, what that leaves."""
    config = NetworkConfig(channels=6, rank=64, levels=0, depth=1, convolution_dtype="bfloat16", slab_bytes=10**9)
    whole = 2 * 3 * (6 + 64) * 20 * 30 * 40

    def slab(budget):
        return forecast_training(replace(config, slab_bytes=budget), (20, 30, 40), device="cpu").slab

    assert slab(10**9) == slab(whole) == whole
    assert whole / 2 < slab(whole - 1) < whole
    assert whole / 10 < slab(whole // 4) <= whole // 4


@pytest.mark.parametrize("axis", [0, 1])
def test_largest_fits_and_one_more_does_not(axis):
    config, size, memory = NetworkConfig(), (40, 240, 427), 3 * 10**9
    found = largest(config, size, memory, axis, device="cuda")

    def total(extent):
        scaled = (extent, 240, 427) if axis == 0 else (40, extent, round(extent * 427 / 240))
        return forecast_training(config, scaled, device="cuda").total

    assert total(found) <= memory < total(found + 1)
    assert largest(config, size, 1, axis, device="cuda") == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resets the resident peak through Linux's /proc")
def test_a_measured_step():
    """As scripts/check_forecast.py measures it, on a smaller video than its cases."""
    code = "import check_forecast as script; print(script.measured({}, (40, 120, 214), 'training', 'cpu')['peak'])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (SCRIPTS.parent, SCRIPTS)))}
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment).stdout
    forecast = forecast_training(NetworkConfig(), (40, 120, 214), device="cpu", labelled_frames=4)
    assert forecast.total / int(output.splitlines()[-1]) == pytest.approx(1, abs=0.10)


def test_slabs_on_a_gpu_follow_the_state():
    """480p x 80 with a channel of 2 bytes: less than the states; a large video takes no more than it needs to fill a GPU."""
    config = NetworkConfig(channels=1, evidence=True, state_dtype="int16", adjoint_dtype="bfloat16")
    forecast = forecast_training(config, (80, 480, 854), labelled_frames=9)
    assert forecast.slab < forecast.states / 2
    assert forecast.total < 600e6
    assert slab_budget(NetworkConfig(), (400, 2160, 3840), "cuda") == SLAB_BYTES["cuda"][1]
    assert slab_budget(NetworkConfig(), (80, 480, 864), "cuda") == 80 * 480 * 864 * 4 * 4 // 4
    assert slab_budget(replace(config, slab_bytes=7), (80, 480, 854), "cuda") == 7


def test_the_budget_of_a_pass_is_that_of_the_forecast():
    config, size = NetworkConfig(channels=1, levels=1, depth=1), (4, 16, 24)
    net = RevSegNet(**asdict(config))
    state = State.from_pair(*torch.zeros(2, 1, 1, *size), net.sequence.grid)
    run = net.sequence.begin(state.curr.nbytes, device=state.curr.device)
    assert run.context.budget == slab_budget(config, size, "cpu") == SLAB_BYTES["cpu"][0]
