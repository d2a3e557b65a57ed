"""Where does the memory of a run on a long video go, and does it grow with the number of frames?

    python scripts/long_video.py --root DAVIS [--sequence libby] [--frames 400,800,1600] [--cheap] [key=value ...]

Loops a sequence of DAVIS-2016 forwards and backwards to so many frames (links to its pictures), with a mask of every 100th frame
for labels and one of every 100th from the 50th on as truth. Runs revseg-train on each length, with two steps, in a process of its
own, and looks at it every 50 ms: anonymous memory (RssAnon), pages of files (RssFile), both together, and their peaks by phase;
"states" is what the network's states and adjoints take by the forecast. --cheap: coarse flow and one sweep, which take less
time and no less memory for each frame. Results are kept in runs/long_video.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import ROOT, arguments
from harness.page import table

EVERY = 0.05
"""Seconds between two looks."""
STATUS = ("RssAnon", "RssFile", "RssShmem")
CHEAP = (
    "evidence.flow.preset=ultrafast",
    "evidence.flow.finest_scale=3",
    "evidence.flow.far_finest_scale=3",
    "evidence.smoothing.sweeps=1",
    "evidence.smoothing.hops=[1]",
    "evidence.carry.direct=0",
)
SHORT = ("training.steps=2", "device=cpu", "output.formats=[masks]")
PHASES = "|".join(
    ["decoding", "optical flow", "carrying labels back", "carrying labels", "motion", "looks", "smoothing evidence"]
    + ["training", "inference", "segmenting", "writing"]
)
PHASE = re.compile(rf"\b({PHASES})(?=$|: \d+ \w+$)", re.MULTILINE)


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder DAVIS")
    parser.add_argument("--sequence", default="libby")
    parser.add_argument("--frames", type=arguments.numbers, default=[400, 800, 1600])
    parser.add_argument("--every", type=int, default=100, help="frames between two labels")
    parser.add_argument("--cheap", action="store_true", help="coarse flow and one sweep")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of revseg-train")
    given = parser.parse_args()
    folder = ROOT / "runs" / "long_video"
    rows = []
    for frames in given.frames:
        video = looped(given.root, given.sequence, frames, given.every, folder / f"{given.sequence}-{frames}")
        run = folder / f"run-{given.sequence}-{frames}"
        shutil.rmtree(run, ignore_errors=True)
        found = measured(video, run, [*SHORT, *(CHEAP if given.cheap else ()), *given.settings])
        if not given.keep:
            shutil.rmtree(run, ignore_errors=True)
        (folder / f"{frames}.json").write_text(json.dumps(found, indent=2))
        sizes = [f"{found['peak'][name] / 1e9:.2f}" for name in (*STATUS, "together")]
        rows.append([str(frames), *sizes, found["phase"], f"{found['J']:.3f}"])
        print(table(["frames", "anonymous, GB", "files", "shared", "together", "the most while", "J"], rows), flush=True)
        for name, peaks in found["phases"].items():
            print(f"    {name:24}", *(f"{peaks[kind] / 1e9:8.2f}" for kind in (*STATUS, "together")), flush=True)


def looped(root: Path, sequence: str, frames: int, every: int, folder: Path) -> Path:
    """Makes the video, its labels and its truth out of links; returns their folder."""
    pictures = sorted((root / "JPEGImages" / "480p" / sequence).glob("*.jpg"))
    masks = sorted((root / "Annotations" / "480p" / sequence).glob("*.png"))
    there_and_back = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("frames", "labels", "truth"):
        (folder / name).mkdir(parents=True)
    for frame in range(frames):
        source = there_and_back[frame % len(there_and_back)]
        (folder / "frames" / f"{frame:06d}.jpg").symlink_to(pictures[source])
        for name, first in (("labels", 0), ("truth", every // 2)):
            if frame % every == first:
                (folder / name / f"{frame:06d}.png").symlink_to(masks[source])
    return folder


def measured(video: Path, run: Path, settings: list[str]) -> dict[str, object]:
    """Trains; returns the peaks of the process in bytes, in all and by phase."""
    data = [f"data.{name}={video / folder}" for name, folder in (("video", "frames"), ("masks", "labels"), ("truth", "truth"))]
    command = [sys.executable, "-m", "revseg.train", *data, "data.encoding=davis2016", f"run_dir={run}", *settings]
    run.parent.mkdir(parents=True, exist_ok=True)
    log = run.parent / f"{run.name}.txt"
    environment = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    phases: dict[str, dict[str, int]] = {}
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            seen = status(process.pid)
            if seen:
                peaks = phases.setdefault(phase_of(run / "train.log"), {})
                for name, size in seen.items():
                    peaks[name] = max(size, peaks.get(name, 0))
            time.sleep(EVERY)
    if process.returncode:
        sys.exit(f"long_video: {' '.join(command)} failed:\n{log.read_text()[-1500:]}")
    metrics = json.loads((run / "metrics.json").read_text())
    peak = {name: max(peaks.get(name, 0) for peaks in phases.values()) for name in (*STATUS, "together")}
    return {
        "peak": peak,
        "phase": max(phases, key=lambda name: phases[name].get("together", 0)),
        "phases": phases,
        "J": metrics["J"],
        "seconds": time.monotonic() - began,
        "peak_memory_bytes": metrics["peak_memory_bytes"],
        "times": metrics["phases"],
    }


def status(process: int) -> dict[str, int]:
    """Returns the bytes of each kind that a process has in memory; nothing where it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return {}
    found = {name: int(size) << 10 for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE) if name in STATUS}
    return found | {"together": sum(found.values())} if found else {}


def phase_of(log: Path) -> str:
    """Returns the phase that a run's log says it is in."""
    begun = PHASE.findall(log.read_text()) if log.exists() else []
    return begun[-1] if begun else "start"


if __name__ == "__main__":
    main()
