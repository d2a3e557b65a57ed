"""Fitting a network into a budget: the fastest arrangement that keeps to it, or a sentence that says what to change."""

import re

import pytest

from revseg.network.config import NetworkConfig
from revseg.network.fit import arrangements, fit_memory
from revseg.network.memory import forecast_training, slab_budget

SIZE = (64, 240, 427)
SLAB = slab_budget(NetworkConfig(), SIZE, "cpu")


def totals(config):
    return [forecast_training(candidate, SIZE, device="cpu").total for candidate in arrangements(config, SLAB)]


def test_the_first_that_fits_is_taken():
    config = NetworkConfig()
    candidates = arrangements(config, SLAB)
    for index, need in enumerate(totals(config)):
        chosen, forecast = fit_memory(config, SIZE, need, device="cpu")
        assert forecast.total <= need
        assert candidates.index(chosen) <= index


def test_with_room_nothing_but_hidden_activations_changes():
    chosen, _ = fit_memory(NetworkConfig(), SIZE, 10**12, device="cpu")
    assert chosen == NetworkConfig(keep_hidden=True)


def test_little_room_takes_the_small_containers():
    config = NetworkConfig(grid_bits=12)
    chosen, _ = fit_memory(config, SIZE, min(totals(config)), device="cpu")
    assert (chosen.state_dtype, chosen.adjoint_dtype, chosen.grid_bits) == ("int16", "float16", None)


def test_float_arithmetic_keeps_its_containers():
    assert {c.state_dtype for c in arrangements(NetworkConfig(arithmetic="float"), SLAB)} == {"float32"}


def test_no_room_says_what_would_fit():
    with pytest.raises(ValueError, match=r"data\.height=\d+ or less") as error:
        fit_memory(NetworkConfig(), SIZE, 300_000_000, device="cpu")
    height = int(re.search(r"data\.height=(\d+)", str(error.value))[1])
    fit_memory(NetworkConfig(), (SIZE[0], height, round(height * SIZE[2] / SIZE[1])), 300_000_000, device="cpu")


def test_it_says_what_helps_and_what_that_costs():
    given = {"device": "cuda", "labelled_frames": 4}
    smallest = arrangements(NetworkConfig(), SLAB)[-1]
    need = forecast_training(smallest, SIZE, **given)
    with pytest.raises(ValueError, match=r"GB of them states and adjoints") as error:
        fit_memory(NetworkConfig(), SIZE, need.total - need.input // 2, **given)
    remedies = str(error.value).partition("; set ")[2].split(", or ")
    assert remedies[0] == "training.input=host (each step copies the video anew)"
    assert [remedy.partition("=")[0] for remedy in remedies[1:4]] == ["data.height", "data.max_frames", "parallel.volume"]
    assert remedies[-1].startswith("data.window=")  # the last resort
    with pytest.raises(ValueError, match=r"arithmetic=exact \(half the states"):
        fit_memory(NetworkConfig(arithmetic="float"), SIZE, 300_000_000, device="cpu")


def test_where_no_setting_helps_it_says_so():
    with pytest.raises(ValueError, match=r"but 0\.00 GB may be used \(training\.memory_budget\); it takes more memory$"):
        fit_memory(NetworkConfig(channels=1), SIZE, -1, device="cpu")
