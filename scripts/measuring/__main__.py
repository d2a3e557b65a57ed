"""Checks, times and measures revseg on a GPU, in at most 8 minutes; writes gpu.json and gpu.log.

    scripts/gpu --root data/DAVIS --output runs/gpu          # on a machine with a GPU
    scripts/gpu --device cpu --small                         # a rehearsal: its numbers mean nothing
    scripts/gpu --report runs/gpu/gpu.json                   # writes what was found into docs/results/gpu.md

Each part is a process of its own with a limit of time, and what it found is written when it ends: a failure loses nothing else.
The most important parts come first; gpu.json names those that the time did not suffice for. Status 1: a part failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from harness import ROOT, arguments, machine
from harness.results import write_json

from measuring import report
from measuring.parts import Part, parts

Record = dict[str, Any]
LEAST = 5.0  # seconds: with less left, a part is not begun


def main() -> None:
    given = parse()
    if given.report is not None:
        report.write(json.loads(given.report.read_text(encoding="utf-8")), given.page)
        return
    folder = given.output
    folder.mkdir(parents=True, exist_ok=True)
    wanted = parts(given.device, given.small, given.root, folder)
    found: Record = {"machine": machine.facts(given.device, _threads()), "small": given.small, "parts": {}}
    deadline = time.monotonic() + given.seconds
    with open(folder / "gpu.log", "w", encoding="utf-8") as log:
        for part in wanted:
            if given.only and part.name not in given.only:
                continue
            found["parts"][part.name] = record = run(part, deadline - time.monotonic(), log)
            write_json(folder / "gpu.json", found)
            print(f"{part.name:16} {record['seconds']:6.1f} s  {record['status']}", flush=True)
    print(folder / "gpu.json")
    sys.exit(any(record["status"] not in ("done", "left out") for record in found["parts"].values()))


def run(part: Part, left: float, log: IO[str]) -> Record:
    """Runs a part within the seconds that are left; returns how it ended, how long it took and what it found."""
    record: Record = {"status": "done", "seconds": 0.0, "command": part.command}
    if part.needs is not None and not part.needs.exists():
        return record | {"status": "left out", "reason": f"{part.needs} is not there"}
    if left < LEAST:
        return record | {"status": "no time left"}
    log.write(f"\n===== {part.name}: {' '.join(part.command)}\n")
    log.flush()
    begun, start = log.tell(), time.monotonic()
    limit = min(part.seconds, left)
    process = subprocess.Popen(part.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        status = process.wait(limit)
        record["status"] = "done" if status == 0 else f"failed with status {status}"
    except subprocess.TimeoutExpired:
        record["status"] = f"took longer than {limit:.0f} s"
    finally:
        if process.poll() is None:  # its children too
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    record["seconds"] = time.monotonic() - start
    text = Path(log.name).read_text(encoding="utf-8", errors="replace").encode()[begun:].decode(errors="replace")
    return record | _found(part, text)


def _found(part: Part, text: str) -> Record:
    """Returns the JSON that a part wrote, or else the end of what it printed."""
    if part.reads is not None:
        return {"found": json.loads(part.reads.read_text(encoding="utf-8"))} if part.reads.exists() else {"tail": text[-2000:]}
    lines = text.strip().splitlines()
    if lines and lines[-1].startswith("{"):
        return {"found": json.loads(lines[-1])}
    return {"tail": text[-4000:]}


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, for a rehearsal")
    parser.add_argument("--root", type=Path, default=ROOT / ".davis", help="folder DAVIS of the whole runs (default: .davis)")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "gpu", help="folder of gpu.json and gpu.log")
    parser.add_argument("--seconds", type=float, default=480.0, help="for all parts together (default: 480)")
    parser.add_argument("--only", nargs="+", metavar="PART", help="only these parts")
    parser.add_argument(
        "--report", type=Path, metavar="JSON", help="writes the page from a finished gpu.json, and measures nothing"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results" / "gpu.md")
    given = parser.parse_args()
    given.output, given.root = given.output.resolve(), given.root.resolve()
    return given


if __name__ == "__main__":
    main()
