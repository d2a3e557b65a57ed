"""Memory and speed of revseg beside its peers, side by side: tables, plots, raw numbers.

    python scripts/benchmark.py                      # CPU: about 25 minutes on 2 cores
    python scripts/benchmark.py --device cuda        # under 8 minutes on an H200
    python scripts/benchmark.py --quick              # a trial on tiny volumes: its numbers mean nothing
    python scripts/benchmark.py --rows depth floor   # only some rows

The peers come with `pip install 'revseg[bench]'`; absent ones are listed as such. What is measured is kept in
docs/results/benchmarks/<device>/, and a second call measures only what is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch
from harness import ROOT, arguments, machine
from harness.page import write_section
from harness.results import Record, Results
from speed import largest, report, rows
from speed.measurement import Setting, run

PATIENCE = {"cpu": 300.0, "cuda": 120.0}  # seconds for one pass; the first one on CUDA compiles kernels


def main() -> None:
    given = parse()
    threads = given.threads or len(os.sched_getaffinity(0))
    page = given.output or ROOT / ("runs" if given.quick else "docs/results") / "benchmarks.md"
    folder = page.with_suffix("")
    logs = ROOT / "runs" / "benchmark" / given.device
    setting = Setting(given.device, threads, given.patience or PATIENCE[given.device], logs)
    facts = machine.facts(given.device, threads) | {"quick": given.quick}
    try:
        results = Results(folder / given.device, facts, "add --fresh to measure everything again", given.fresh)
        measure(results, given, setting)
        write_section(page, "benchmark", given.device, report.section(results, folder, folder.name))
    except (ValueError, OSError) as error:
        sys.exit(f"benchmark: {error}")
    print(f"{page}\n{results.folder}")


def measure(results: Results, given: argparse.Namespace, setting: Setting) -> None:
    """Measures every wanted group that is not there yet."""
    profile = "quick" if given.quick else given.device
    start = time.perf_counter()

    def keep(name: str, found: Record) -> None:
        results.keep(name, found)
        failed = "; ".join(f"{case['peer']}: {case['error']}" for case in found["cases"] if "error" in case)
        print(f"{time.perf_counter() - start:6.0f} s  {name}{'  -  ' + failed if failed else ''}", flush=True)

    for name in given.rows:
        for group in rows.ROWS[name][1](profile):
            if not group.is_in(results.get(group.name)):
                keep(group.name, run(group, setting))
        if name == "largest" and results.get(name) is None:
            _, *frame = rows.sizes(name, profile)[0]
            keep(name, largest.find(rows.LARGEST_PEERS, frame, rows.LIMIT[profile], setting))


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__, device=True)
    names = list(rows.ROWS)
    wanted = f"what to measure: {', '.join(names)} (default: all)"
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=wanted)
    parser.add_argument("--quick", action="store_true", help="tiny volumes; the page goes to runs/benchmarks.md")
    parser.add_argument("--fresh", action="store_true", help="measure again what has been measured")
    parser.add_argument("--threads", type=int, help="threads of each measurement (default: every core)")
    parser.add_argument("--patience", type=float, help="seconds after which one pass is given up (default: 300, 120 on CUDA)")
    page = "page whose section is written (default: docs/results/benchmarks.md); the rest goes beside it"
    parser.add_argument("--output", type=Path, help=page)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a GPU that PyTorch can use and finds none; leave it out for the CPU")
    return given


if __name__ == "__main__":
    main()
