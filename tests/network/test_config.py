"""Settings: what they spread to, and the sentence with which each impossible combination is refused."""

import dataclasses

import pytest

from revseg.config import TrainConfig
from revseg.evidence.config import EvidenceConfig
from revseg.network.config import NetworkConfig


def test_one_number_is_spread_over_the_levels():
    config = NetworkConfig(levels=2, depth=3, rank=8, coarsen_time=False)
    assert config.depths == (3, 3, 3)
    assert config.ranks == (8, 8, 8)
    assert config.halves_time == (False, False)


@pytest.mark.parametrize("kind", [tuple, list])
def test_one_entry_per_level_finest_first(kind):
    config = NetworkConfig(levels=2, depth=kind((0, 1, 2)), rank=kind((4, 8, 16)), coarsen_time=kind((False, True)))
    assert config.depths == (0, 1, 2)
    assert config.ranks == (4, 8, 16)
    assert config.halves_time == (False, True)


@pytest.mark.parametrize(
    ("settings", "outputs", "inputs"),
    [
        ({}, 2, 3),
        ({"classes": 5}, 5, 3),
        ({"evidence": True}, 2, 3 + 2 + 1),
        ({"evidence": True, "classes": 5}, 5, 3 + 5 + 1),
        ({"evidence": False, "classes": 5}, 5, 3),
    ],
)
def test_what_is_left_open_has_the_least_there_is(settings, outputs, inputs):
    """Two classes, and pictures alone."""
    config = NetworkConfig(**settings)
    assert (config.outputs, config.inputs) == (outputs, inputs)
    assert NetworkConfig().classes is NetworkConfig().evidence is None


def test_the_defaults_are_valid_and_survive_asdict():
    config = NetworkConfig()
    assert NetworkConfig(**dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": 0}, "network.channels is 0; give a whole number from 1 to 65536"),
        ({"channels": 2.5}, "network.channels is 2.5; give a whole number"),
        ({"classes": 1}, "network.classes is 1; give a whole number from 2 to 255"),
        ({"levels": 10**9}, "network.levels is 1000000000; give a whole number from 0 to 16"),
        ({"depth": 10**9}, "network.depth is 1000000000; every entry must be a whole number from 0 to 65536"),
        ({"levels": -1}, "network.levels is -1; give a whole number from 0 to 16"),
        ({"kernel_size": 0}, "network.kernel_size is 0; give a whole number from 1 to 255"),
        ({"kernel_size": 4}, "network.kernel_size is 4; give an odd number"),
        ({"step_size": 0}, "network.step_size is 0; give a positive number"),
        ({"step_size": -0.5}, "network.step_size is -0.5; give a positive number"),
        ({"step_size": float("nan")}, "network.step_size is nan; give a positive number"),
        ({"step_size": float("inf")}, "network.step_size is inf; give a positive number"),
        (
            {"levels": 2, "depth": (1, 1)},
            "network.depth has 2 entries but network.levels=2 needs 3; give one number or 3",
        ),
        (
            {"levels": 1, "rank": [1, 2, 3], "depth": 1},
            "network.rank has 3 entries but network.levels=1 needs 2",
        ),
        ({"coarsen_time": (True,)}, "network.coarsen_time has 1 entries but network.levels=3 needs 3"),
        ({"depth": -1}, "network.depth is -1; every entry must be a whole number from 0 to 65536"),
        ({"depth": (0, 1, 1.5, 1)}, r"network.depth is \(0, 1, 1.5, 1\); every entry must be a whole number"),
        ({"rank": 0}, "network.rank is 0; every entry must be a whole number from 1 to 65536"),
        ({"arithmetic": "fixed"}, "network.arithmetic is fixed; .* choose one of exact, float"),
        (
            {"convolution_dtype": "float16"},
            "network.convolution_dtype is float16; .* choose one of auto, bfloat16",
        ),
        (
            {"state_dtype": "float64"},
            "network.state_dtype is float64; with arithmetic=exact choose one of float32, int32, int16",
        ),
        (
            {"state_dtype": "int16", "arithmetic": "float"},
            "network.state_dtype is int16; with arithmetic=float choose one of float32",
        ),
        ({"adjoint_dtype": "int16"}, "network.adjoint_dtype is int16; .* choose one of float32, float16, bfloat16"),
        ({"grid_bits": 30}, "network.grid_bits is 30; give 0 to 20"),
        (
            {"grid_bits": 8, "arithmetic": "float"},
            "grid_bits is 8 but arithmetic=float has no grid; set arithmetic=exact or leave",
        ),
    ],
)
def test_what_is_impossible_is_refused_with_what_to_change(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        NetworkConfig(**settings)


def test_channels_of_the_video():
    assert NetworkConfig().inputs == NetworkConfig().video_channels == 3
    twelve = NetworkConfig(in_channels=12, classes=4, evidence=True)
    assert (twelve.video_channels, twelve.evidence_channels, twelve.inputs) == (12, 5, 17)
    with pytest.raises(ValueError, match=r"network\.in_channels is 0; give a whole number from 1 to 65536"):
        NetworkConfig(in_channels=0)


def test_what_does_not_go_with_evidence_is_refused_with_the_settings():
    with pytest.raises(ValueError, match="network.output_level is 1, but evidence is told for every pixel"):
        TrainConfig(network=NetworkConfig(output_level=1))
    TrainConfig(network=NetworkConfig(output_level=1), evidence=EvidenceConfig(source="none"))


def test_norm():
    with pytest.raises(ValueError, match="network.norm is spectral; choose operator or matrix"):
        NetworkConfig(norm="spectral")
