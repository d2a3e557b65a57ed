"""The commands with functions that need no network: they show what Hydra and the command line make of a line."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from revseg.cli import main
from revseg.cli.settings import to_yaml
from revseg.config import PredictConfig, TrainConfig
from revseg.runs.interruption import Interrupted

SEEN: list[tuple[Any, frozenset[str]]] = []
"""What the functions were called with, in this process."""

TRAIN = replace(main.TRAIN, function="tests.cli.small:train")
PREDICT = replace(main.PREDICT, function="tests.cli.small:predict")


def train(config: TrainConfig, given: frozenset[str]) -> float:
    """Says what it was called with, and leaves a run. At some steps it fails."""
    SEEN.append((config, given))
    logger = logging.getLogger("revseg.small")
    logger.debug("a detail")
    logger.info("given %s", json.dumps({"run_dir": config.run_dir, "steps": config.training.steps, "given": sorted(given)}))
    logger.warning("a warning")
    if config.training.steps == 1019:
        warnings.warn_explicit("of ours", UserWarning, main.__file__, 1)
        warnings.warn_explicit("of a library", UserWarning, "/site-packages/PIL/TiffImagePlugin.py", 946)
    assert config.run_dir
    fail(config.training.steps, config.run_dir)
    Path(config.run_dir, "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    return abs(config.training.steps - 5) + float(config.network.rank)


def fail(steps: int, run_dir: str) -> None:
    """In one of several ways."""
    if steps == 1013:
        raise ValueError("step 13: the loss\nis nan; lower the rate")
    if steps == 1014:
        raise MemoryError
    if steps == 1015:
        raise Interrupted(15, step=3, run_dir=Path(run_dir))
    if steps == 1016:
        raise AttributeError("typo")
    if steps == 1018:
        raise KeyboardInterrupt
    if steps == 1017:
        print("waiting", flush=True)
        time.sleep(30)


def predict(config: PredictConfig, given: frozenset[str]) -> None:
    """Says what it was called with."""
    SEEN.append((config, given))
    print(json.dumps({"video": config.data.video, "output": config.output.folder, "spin": os.environ.get("GOMP_SPINCOUNT")}))


if __name__ == "__main__":
    name = sys.argv.pop(1)
    sys.argv[0] = f"/usr/bin/revseg-{name}"
    # By their names in the package, which other processes know too.
    from tests.cli import small

    main.start({"train": small.TRAIN, "predict": small.PREDICT}[name])
