"""Memory and speed of revseg beside its peers, side by side: a page with tables, plots, raw numbers.

    python scripts/benchmark.py                      # CPU: about 25 minutes on 2 cores
    python scripts/benchmark.py --device cuda        # under 8 minutes on an H200
    python scripts/benchmark.py --quick              # a trial on tiny volumes: its numbers mean nothing
    python scripts/benchmark.py --rows depth floor   # only some rows

The peers come with `pip install 'revseg[bench]'`; absent ones are listed as such. What is measured is kept in
docs/benchmarks/<device>.json, and a second call measures only what is missing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # so that the checkout need not be installed

import torch  # noqa: E402
from benchmark import largest, plots, report, rows  # noqa: E402
from benchmark.group import Setting, run  # noqa: E402
from benchmark.results import Results, setting_of  # noqa: E402

PATIENCE = {"cpu": 300.0, "cuda": 120.0}  # seconds for one pass; the first one on CUDA compiles kernels


def main() -> None:
    arguments = parse()
    threads = arguments.threads or len(os.sched_getaffinity(0))
    setting = Setting(arguments.device, threads, arguments.patience or PATIENCE[arguments.device])
    page = arguments.output or ROOT / ("runs" if arguments.quick else "docs") / "benchmarks.md"
    path = page.with_suffix("") / f"{arguments.device}.json"
    if arguments.fresh:
        path.unlink(missing_ok=True)
    try:
        results = Results.resume(path, setting_of(arguments.device, threads, arguments.quick))
    except ValueError as error:
        sys.exit(f"benchmark: {error}")
    results.commands.append(shlex.join(["python", "scripts/benchmark.py", *sys.argv[1:]]))
    measure(results, arguments, setting)
    every = [Results.load(found) for found in (path.with_name(f"{name}.json") for name in ("cpu", "cuda")) if found.exists()]
    pictures = [plots.draw(each, page.with_suffix("")) for each in every]
    page.write_text(report.page(every, pictures, page.stem), encoding="utf-8")
    print(f"{page}\n{path}")


def measure(results: Results, arguments: argparse.Namespace, setting: Setting) -> None:
    """Every wanted group that is not there yet."""
    profile = rows.QUICK if arguments.quick else {"cpu": rows.CPU, "cuda": rows.CUDA}[arguments.device]
    start = time.perf_counter()
    for name in arguments.rows:
        for group in rows.ROWS[name](profile) if name in rows.ROWS else ():
            if not results.has(group):
                results.keep(group.name, run(group, setting))
                say(start, results, group.name)
        if name == "largest" and "largest" not in results.groups:
            results.keep("largest", largest.find(rows.LARGEST_PEERS, profile.frame, profile.limit, setting))
            say(start, results, "largest")
    results.save()


def say(start: float, results: Results, name: str) -> None:
    cases = results.groups[name]["cases"]
    failed = "; ".join(f"{case['peer']}: {case['error']}" for case in cases if "error" in case)
    print(f"{time.perf_counter() - start:6.0f} s  {name}{'  -  ' + failed if failed else ''}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=rows.NAMES,
        default=list(rows.NAMES),
        metavar="ROW",
        help=f"what to measure: {', '.join(rows.NAMES)} (default: all)",
    )
    parser.add_argument("--quick", action="store_true", help="tiny volumes; the page goes to runs/benchmarks.md")
    parser.add_argument("--fresh", action="store_true", help="measure again what has been measured")
    parser.add_argument("--threads", type=int, help="threads of each measurement (default: every core)")
    parser.add_argument(
        "--patience",
        type=float,
        help="seconds after which one pass is given up (default: 300, 120 on CUDA)",
    )
    parser.add_argument("--output", type=Path, help="page to write (default: docs/benchmarks.md); the rest goes beside it")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a GPU that PyTorch can use and finds none; leave it out for the CPU")
    return arguments


if __name__ == "__main__":
    main()
