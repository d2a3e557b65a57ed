"""The folder of results.

<output>/settings.json                                    what all results in it have in common
        /<sequence>/labelled5/revseg/seed0/result.json    measures, seconds, peak memory; its presence says: finished
                                          /masks.npz      (T, H, W) uint8
                                          /log.txt        what the training printed
                                          /run/           with --keep-runs: the run folder of revseg-train
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from davis_benchmark.case import Case, Recipe
from revseg.runs.atomic import replacing
from revseg.tasks.measures import Mask

Record = dict[str, Any]
"""Of a case, and what was measured of it."""


def open_folder(output: Path, recipe: Recipe) -> None:
    """Raises ValueError if the folder holds results of another recipe."""
    path, now = output / "settings.json", recipe.identity()
    if not path.exists():
        write_json(path, now)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        name = changed[0]
        raise ValueError(f"{output} holds results with {name}={before.get(name)}, not {now[name]}: choose another --output")


def finished(output: Path, case: Case) -> bool:
    return (output / case.folder / "result.json").exists()


def save(folder: Path, case: Case, measured: Record, masks: Sequence[Mask]) -> None:
    with replacing(folder / "masks.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, masks=np.stack(masks))
    write_json(folder / "result.json", asdict(case) | measured)


def records(output: Path) -> list[Record]:
    """Of all finished cases, in a fixed order."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in output.glob("*/labelled*/*/seed*/result.json")]
    return sorted(found, key=lambda record: (record["labelled"], record["sequence"], record["method"], record["seed"]))


def case_of(record: Record) -> Case:
    return Case(record["sequence"], record["labelled"], record["method"], record["seed"])


def masks_of(output: Path, case: Case) -> Mask:
    """(T, H, W)."""
    with np.load(output / case.folder / "masks.npz") as file:
        return file["masks"]


def write_json(path: Path, content: Record) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
