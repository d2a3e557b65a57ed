"""One case in a process of its own, so that each has its own peak memory and a failure ends no other."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from davis_benchmark.case import Case, Recipe
from davis_benchmark.footprint import Footprint, name_of, stay_within_free_memory
from davis_benchmark.methods import METHODS, forget
from davis_benchmark.problem import Problem, unlabelled
from davis_benchmark.results import save

OUT_OF_MEMORY = 3  # exit status
SHORTEST_CLIP = 16

# A forked server that has imported what is slow to import; none of these starts threads or touches a GPU. Those that are not
# installed are passed over.
PRELOADED = ["davis_benchmark.trial", "cv2", "monai.networks.nets"]


def run(case: Case, recipe: Recipe, output: Path, clip: int | None = None) -> str | None:
    """Measure a case and keep its result; where memory does not suffice, with ever shorter clips. Returns what went wrong."""
    folder = output / case.folder
    while True:
        shutil.rmtree(folder, ignore_errors=True)  # an unfinished one: half a training would be half its seconds
        folder.mkdir(parents=True)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        process = context.Process(target=serve, args=(case, recipe, folder, clip), daemon=False)
        process.start()
        process.join()
        if process.exitcode == 0:
            return None
        if process.exitcode not in (OUT_OF_MEMORY, -9) or case.method != "unet":
            return reason(folder / "log.txt", process.exitcode)
        clip = shorter(folder, clip)
        if clip is None:
            return "out of memory even with clips of 16 frames"


def shorter(folder: Path, clip: int | None) -> int | None:
    """Half the clip that did not fit, a multiple of 16; None at the end."""
    failed = clip or int((folder / "frames.txt").read_text())
    return failed // 2 // SHORTEST_CLIP * SHORTEST_CLIP or None


def reason(log: Path, code: int | None) -> str:
    """The last line of the log, and where to read on."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    last = next((line for line in reversed(lines) if line.strip()), f"the process ended with code {code}")
    return f"{last} (see {log})"


def serve(case: Case, recipe: Recipe, folder: Path, clip: int | None) -> None:
    """The process's main."""
    with open(folder / "log.txt", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        measure(case, recipe, folder, clip)
    except (torch.OutOfMemoryError, MemoryError) as error:
        print(error, file=sys.stderr)
        sys.exit(OUT_OF_MEMORY)
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        print(error, file=sys.stderr)
        sys.exit(OUT_OF_MEMORY)


def measure(case: Case, recipe: Recipe, folder: Path, clip: int | None) -> None:
    problem = Problem.of(case, recipe, folder / "run")
    unlabelled(problem.known, problem.labelled_frames)  # says so before the training if nothing is left to measure
    (folder / "frames.txt").write_text(str(problem.known.frames))
    warm_up(case, recipe, folder / "warm-up", problem.device)
    if case.method == "unet":
        stay_within_free_memory(problem.device)
    footprint, start = Footprint(problem.device), time.perf_counter()
    outcome = METHODS[case.method].segment(problem, clip)
    seconds, peak = time.perf_counter() - start, footprint.peak()
    facts = {
        "labelled_frames": list(problem.labelled_frames),
        "size": list(problem.known.volume.shape[1:]),
        "native_size": list(problem.known.native_size),
        "seconds": seconds,
        "peak_memory_bytes": peak,
        "device": name_of(problem.device),
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if not recipe.keep_runs:
        forget(problem)
    native = None if outcome.native is None else problem.measure(outcome.native, native=True)
    save(folder, case, problem.measure(outcome.masks) | facts | outcome.facts | {"native": native}, outcome.masks)


def warm_up(case: Case, recipe: Recipe, run_dir: Path, device: torch.device) -> None:
    """The same in small, so that libraries are loaded: on the CPU their pages would count as memory of the method.

    Not on a GPU: there they do not count, and kernels that are compiled first belong to the seconds that a user waits.
    """
    if device.type != "cpu":
        return
    small = replace(recipe, height=24, max_frames=case.labelled + 1, steps=1)
    problem = Problem.of(case, small, run_dir)
    METHODS[case.method].segment(problem, None)
    forget(problem)
