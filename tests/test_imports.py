"""Which folder of revseg may import which: a station imports only stations before it.

    video -> labels -> evidence -> network, training -> segmentation -> output -> tasks -> config
    config -> forecast, command line -> launch, page -> entry points -> api

``reversible`` is a library of its own. ``runs``, ``device``, ``storage``, ``container`` and ``parallel`` need nothing of it but
one another.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "revseg"

BASE = {"container", "device", "runs", "storage"}
LIBRARY = BASE | {
    "revseg",
    "parallel",
    "reversible",
    "video",
    "labels",
    "evidence",
    "evaluation",
    "network",
    "training",
    "segmentation",
    "output",
    "demo",
    "tasks",
}
COMMAND_LINE = {"cli"}
ENTRY_POINTS = {"train", "predict", "evaluate", "plan", "label", "overview"}
MAY_IMPORT = {
    "reversible": {"reversible"},
    "container": set(),
    "device": {"container"},
    "storage": {"device"},
    "parallel": {"device", "runs", "parallel"},
    "runs": {"runs"},
    "video": BASE | {"video"},
    "labels": BASE | {"video", "labels"},
    "evidence": BASE | {"reversible", "video", "labels", "evidence"},
    "evaluation": BASE | {"labels", "evaluation"},
    "network": {"reversible", "network"},
    "revseg": {"reversible", "network", "api"},  # revseg/__init__.py
    "training": BASE | {"reversible", "network", "labels", "evidence", "parallel", "training"},
    "segmentation": BASE | {"labels", "evidence", "network", "segmentation"},
    "output": BASE | {"video", "labels", "evidence", "segmentation", "output"},
    "demo": BASE | {"video", "labels", "demo"},
    "tasks": LIBRARY,
    "config": LIBRARY | {"config"},
}
MAY_IMPORT["forecast"] = MAY_IMPORT["config"] | {"forecast"}
MAY_IMPORT |= {name: MAY_IMPORT["config"] | COMMAND_LINE for name in COMMAND_LINE}
MAY_IMPORT["launch"] = MAY_IMPORT["forecast"] | {"launch"}
MAY_IMPORT["page"] = MAY_IMPORT["cli"] | {"page"}
MAY_IMPORT |= {name: MAY_IMPORT["page"] | MAY_IMPORT["launch"] | ENTRY_POINTS for name in ENTRY_POINTS}
MAY_IMPORT["api"] = MAY_IMPORT["train"] | {"api"}

CONFIGURATION = {"hydra", "omegaconf"}
NO_PIXELS = CONFIGURATION | {"av", "imageio", "tensorboard", "tqdm"}
MAY_NOT_USE = {
    "reversible": NO_PIXELS,
    "network": NO_PIXELS,
    "video": CONFIGURATION | {"tensorboard"},
    "labels": CONFIGURATION | {"tensorboard"},
    "evidence": CONFIGURATION | {"tensorboard"},
    "evaluation": CONFIGURATION | {"torch", "av", "imageio", "tensorboard"},
    "segmentation": CONFIGURATION,
    "output": CONFIGURATION,
    "training": CONFIGURATION,
    "demo": CONFIGURATION,
    "tasks": CONFIGURATION,
}


def imported_names(source: str, package: list[str]) -> set[str]:
    """Dotted names of all that a module imports, anywhere in it; `package` is the folder it lies in."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def part_of(name: str) -> str:
    """The part of revseg that a name lies in: revseg.labels.masks -> labels, revseg.RevSegNet -> revseg."""
    part = name.split(".")[1] if "." in name else "revseg"
    return part if part in MAY_IMPORT and part != "revseg" else "revseg"


def violations(source: str, path: Path) -> list[str]:
    """path: of the module, relative to the folder that holds the package."""
    module = path.with_suffix("").parts
    part = part_of(".".join(module))
    names = imported_names(source, list(path.parent.parts))
    ours = {name for name in names if name.split(".")[0] == "revseg"}
    higher = {name for name in ours if part_of(name) not in MAY_IMPORT[part]}
    foreign = {name for name in names - ours if MAY_NOT_USE.get(part, set()) & set(name.split("."))}
    return sorted(higher | foreign)


def test_every_part_has_a_rule() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert parts - {"__init__", "__main__"} <= set(MAY_IMPORT), "add the new part to MAY_IMPORT"


def test_no_lower_folder_imports_a_higher_one() -> None:
    found = {
        str(path.relative_to(PACKAGE.parent)): wrong
        for path in sorted(PACKAGE.rglob("*.py"))
        if (wrong := violations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE.parent)))
    }
    assert not found


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("reversible/grid.py", "import torch\nfrom revseg.reversible import haar", []),
        ("reversible/grid.py", "from revseg.network.plan import Plan", ["revseg.network.plan.Plan"]),
        ("reversible/grid.py", "from .. import video", ["revseg.video"]),
        ("reversible/grid.py", "from ..network.plan import Plan", ["revseg.network.plan.Plan"]),
        ("network/network.py", "def f():\n    import omegaconf", ["omegaconf"]),
        ("network/network.py", "from torch.utils import tensorboard", ["torch.utils.tensorboard"]),
        ("video/read.py", "import av\nfrom revseg import RevSegNet", ["revseg.RevSegNet"]),
        ("evaluation/davis.py", "from revseg.labels.masks import read_mask", []),
        ("training/trainer.py", "import revseg.config", ["revseg.config"]),
        ("config.py", "from revseg.train import train", ["revseg.train.train"]),
        ("__init__.py", "from revseg.network.network import RevSegNet", []),
    ],
)
def test_the_check_itself(path: str, source: str, expected: list[str]) -> None:
    assert violations(source, Path("revseg") / path) == expected
