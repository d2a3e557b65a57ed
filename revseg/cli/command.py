"""What a command consists of, and where its configuration files lie."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Command:
    """One of revseg-train, revseg-predict, ...

    `schema` and `function` are written module:name, because --help must not import what takes seconds.
    """

    name: str
    """The primary file in configs/, without its suffix."""
    schema: str
    """The dataclass of its settings."""
    function: str
    """The function that is called with an instance of the dataclass, and with the names that were typed."""
    positional: str | None = None
    """The setting that a bare argument gives."""
    several: str | None = None
    """The setting that several bare arguments give, as a list."""
    folder: str | None = None
    """The setting that names the folder it writes to; in a sweep every job gets its own."""
    keeps_runs: bool = False
    """Whether that folder is a run, with Hydra's files and the job log in it. Several processes may work on one together."""

    def settings(self) -> type[Any]:
        """The dataclass."""
        found: type[Any] = _named(self.schema)
        return found

    def call(self, config: Any, given: frozenset[str]) -> Any:
        """What the function returns."""
        return _named(self.function)(config, given)

    def source(self) -> Path:
        """The file of the function, found without importing it."""
        module = self.function.partition(":")[0]
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"no module {module}"
        assert spec.origin is not None, f"no source of {module}"
        return Path(spec.origin)


def configs_folder() -> Path:
    """Inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
