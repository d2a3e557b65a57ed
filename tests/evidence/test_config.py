"""Settings say in one sentence what is wrong with them."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import yaml

from revseg.evidence import config as module
from revseg.evidence.config import EvidenceConfig

CONFIGS = Path(__file__).parents[2] / "configs" / "evidence"

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("FlowConfig", {"height": 0}, "evidence.flow.height is 0; give a whole number of at least 1"),
    ("FlowConfig", {"least_height": -1}, "evidence.flow.least_height is -1"),
    ("FlowConfig", {"preset": "slow"}, "evidence.flow.preset is slow; choose one of ultrafast, fast, medium"),
    ("FlowConfig", {"finest_scale": 6}, "evidence.flow.finest_scale is 6; give a whole number from 0 to 5"),
    ("FlowConfig", {"refinement": -1}, "evidence.flow.refinement is -1"),
    ("FlowConfig", {"reach": 0.0}, "evidence.flow.reach is 0.0; give a positive number"),
    ("FlowConfig", {"contrast": float("nan")}, "evidence.flow.contrast is nan; give a positive number"),
    ("FlowConfig", {"blur": 4}, "evidence.flow.blur is 4; give an odd number"),
    ("FlowConfig", {"least": 2.0}, "evidence.flow.least is 2.0; give a number from 0 to 1"),
    ("CarryConfig", {"chain": -1.0}, "evidence.carry.chain is -1.0; give a number of at least 0"),
    ("CarryConfig", {"direct": float("inf")}, "evidence.carry.direct is inf; give a number of at least 0"),
    ("CarryConfig", {"chain": 0.0, "direct": 0.0}, "evidence.carry.chain and evidence.carry.direct are both 0"),
    ("MotionConfig", {"quantile": 1.5}, "evidence.motion.quantile is 1.5; give a number from 0 to 1"),
    ("MotionConfig", {"share": 0.0}, "evidence.motion.share is 0.0"),
    ("MotionConfig", {"least": -1.0}, "evidence.motion.least is -1.0"),
    ("MotionConfig", {"confidence": 15.0}, "evidence.motion.confidence is 15.0"),
    ("MotionConfig", {"spacing": 0}, "evidence.motion.spacing is 0"),
    ("MotionConfig", {"tolerance": 0.0}, "evidence.motion.tolerance is 0.0"),
    ("LikelihoodConfig", {"bins": 257}, "evidence.likelihood.bins is 257; give a whole number from 1 to 256"),
    ("LikelihoodConfig", {"floor": 0.0}, "evidence.likelihood.floor is 0.0"),
    ("LikelihoodConfig", {"least": 0.0}, "evidence.likelihood.least is 0.0; give a number between 0 and 1"),
    ("LikelihoodConfig", {"trust": -0.1}, "evidence.likelihood.trust is -0.1"),
    ("LikelihoodConfig", {"prior": -1.0}, "evidence.likelihood.prior is -1.0"),
    ("LooksConfig", {"power": -0.5}, "evidence.looks.power is -0.5; give a number of at least 0"),
    ("LooksConfig", {"height": 0}, "evidence.looks.height is 0; give a whole number of at least 1"),
    ("LooksConfig", {"frames": -1}, "evidence.looks.frames is -1"),
    ("LooksConfig", {"sure": 1.5}, "evidence.looks.sure is 1.5; give a number from 0 to 1"),
    ("LooksConfig", {"hidden": 0}, "evidence.looks.hidden is 0"),
    ("LooksConfig", {"steps": 0}, "evidence.looks.steps is 0"),
    ("SmoothingConfig", {"sweeps": -1}, "evidence.smoothing.sweeps is -1"),
    ("SmoothingConfig", {"hops": []}, r"evidence.smoothing.hops is \[\]; give different whole numbers of at least 1"),
    ("SmoothingConfig", {"hops": [1, 1]}, r"evidence.smoothing.hops is \[1, 1\]"),
    ("SmoothingConfig", {"hops": [0, 1]}, r"evidence.smoothing.hops is \[0, 1\]"),
    ("SmoothingConfig", {"hops": 2}, "evidence.smoothing.hops is 2"),
    ("SmoothingConfig", {"prior": 0.0}, "evidence.smoothing.prior is 0.0"),
    ("SmoothingConfig", {"confidence": 1.1}, "evidence.smoothing.confidence is 1.1"),
    ("RefineConfig", {"detail_trust": -0.1}, "evidence.refine.detail_trust is -0.1"),
    ("RefineConfig", {"least": 0.0}, "evidence.refine.least is 0.0"),
    ("PoolConfig", {"of_one_frame": 2.0}, "evidence.pool.of_one_frame is 2.0"),
    ("PoolConfig", {"detail": -2.0}, "evidence.pool.detail is -2.0"),
    ("PoolConfig", {"least": 0.0}, "evidence.pool.least is 0.0"),
    ("EvidenceConfig", {"source": "depth"}, "evidence.source is depth; choose one of flow, none"),
]


@pytest.mark.parametrize(("name", "given", "message"), WRONG)
def test_what_is_wrong_is_named(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(module, name)(**given)


def test_settings_stay() -> None:
    with pytest.raises(FrozenInstanceError):
        EvidenceConfig().cache = False  # type: ignore[misc]


def test_lists_and_whole_numbers_are_taken() -> None:
    assert module.SmoothingConfig(hops=[1, 2, 4], prior=3).hops == [1, 2, 4]
    assert module.PoolConfig(detail=0).detail == 0


def test_every_setting_has_its_text() -> None:
    lines = Path(module.__file__).read_text(encoding="utf-8").splitlines()
    for line, following in zip(lines, lines[1:], strict=False):
        if line.startswith("    ") and ": " in line and " = " in line and not line.startswith("     ") and "field(" not in line:
            assert following.startswith('    """'), line


def test_nothing_large_is_imported() -> None:
    program = "import importlib.util as u, sys; s = u.spec_from_file_location('c', sys.argv[1]); m = u.module_from_spec(s); "
    program += "sys.modules['c'] = m; s.loader.exec_module(m); print({'torch', 'numpy', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program, module.__file__], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def build(kind: type, values: dict[str, Any]) -> Any:
    parts = {
        name: build(type(getattr(EvidenceConfig(), name)), value) for name, value in values.items() if isinstance(value, dict)
    }
    return kind(**values | parts)


def test_the_options_of_the_group() -> None:
    options = {path.stem: build(EvidenceConfig, yaml.safe_load(path.read_text())) for path in CONFIGS.glob("*.yaml")}
    assert set(options) == {"fine", "fast", "none"}
    assert options["fine"] == EvidenceConfig()
    assert options["none"].source == "none"
    assert options["none"].smoothing.sweeps == 0
    assert options["fast"].source == "flow"
    assert options["fast"].flow.height < options["fine"].flow.height
