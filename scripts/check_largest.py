"""Do the largest sizes that revseg-plan names train? Tried within a real limit of memory, that of a control group.

    python scripts/check_largest.py --root DAVIS --memory 1000 [--sequence dance-twirl] [--most 2000] [key=value ...]

Loops a sequence of DAVIS-2016 forwards and backwards to a video as long as is needed (links to its pictures). revseg-plan and
revseg-train run each in a group of so many megabytes, as in `docker run --memory`: all that they start counts, and the kernel
ends what takes more. Trains, with two steps, the most frames that are named, the most lines (data.height) of eight frames, and
eight times the most frames, which must be refused in a sentence before anything is read. Exit status 1 where one of these is
not so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, arguments
from harness.control_group import control_group
from long_video import looped

SHORT = 8
"""Frames that revseg-plan is asked about."""
TOO_MANY = 8
"""Times the most frames that must be refused: of a small limit libraries take most, and a margin is kept."""


@dataclass(frozen=True)
class Tried:
    """A command within the limit."""

    status: int
    killed: int
    """Processes that the kernel ended."""
    peak: int
    """Bytes of all processes of the group."""
    text: str

    @property
    def told(self) -> str:
        """The last line that revseg itself prints."""
        return next((line for line in reversed(self.text.splitlines()) if line.startswith("revseg: ")), "")


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder DAVIS, where JPEGImages and Annotations lie")
    parser.add_argument("--memory", type=int, required=True, help="megabytes (2^20) of the group")
    parser.add_argument("--sequence", default="dance-twirl", help="which (default: dance-twirl)")
    parser.add_argument("--most", type=int, default=2000, help="frames that are tried at most (default: 2000)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of revseg-train")
    given = parser.parse_args()
    folder = ROOT / "runs" / "check_largest"
    shutil.rmtree(folder, ignore_errors=True)
    video = looped(given.root, given.sequence, TOO_MANY * given.most, every=TOO_MANY * given.most, folder=folder / "video")
    data = [f"data.video={video / 'frames'}", f"data.masks={video / 'labels'}", "data.encoding=davis2016"]
    words = [*data, "device=cpu", *given.settings]
    sys.exit(0 if largest_train(given.memory << 20, words, folder, most=given.most) else 1)


def largest_train(memory: int, words: list[str], folder: Path, *, most: int) -> bool:
    """Tries what revseg-plan names for the settings ``words``, with up to ``most`` frames; says what came of it."""
    asked = ["plan", *words, f"data.max_frames={SHORT}"]
    run(*asked)  # what a group reads first of files is charged to it: libraries are read outside, as where another container runs
    planned = within(memory, *asked)
    found = named(planned.text)
    if planned.status or found is None or not found[0]:
        print(planned.text)
        return False
    longest, lines = found
    frames = min(most, longest)
    print(f"{memory >> 20} MB: revseg-plan names {longest} frames, or {lines} lines of {SHORT} frames", flush=True)
    training = {
        f"{frames} frames": [f"data.max_frames={frames}"],
        f"{lines} lines": [f"data.max_frames={SHORT}", f"data.height={lines}"],
    }
    good = True
    for name, more in training.items():
        tried = within(memory, "train", *words, *more, "training.steps=2", f"run_dir={folder / name.replace(' ', '-')}")
        good &= tried.status == 0
        told = tried.told if tried.status else ""
        print(f"{name}: status {tried.status}, {tried.killed} killed, {tried.peak >> 20} MB {told}", flush=True)
    if frames == longest:
        more = [f"data.max_frames={TOO_MANY * frames}", "training.steps=2"]
        tried = within(memory, "train", *words, *more, f"run_dir={folder / 'refused'}")
        good &= tried.status == 1 and tried.told.startswith(f"revseg: {TOO_MANY * frames} frames")
        print(f"{TOO_MANY * frames} frames: status {tried.status}, {tried.killed} killed {tried.told}", flush=True)
    return good


def named(text: str) -> tuple[int, int] | None:
    """Returns the most frames, and the most lines, that revseg-plan names for where it runs; None where it names none."""
    found = re.search(r"^ +here +>? ?(\d+) +>? ?(\d+)$", text, re.MULTILINE)
    return None if found is None else (int(found[1]), int(found[2]))


def within(memory: int, command: str, *words: str) -> Tried:
    """Runs revseg-COMMAND in a group of so many bytes."""
    with control_group(memory) as group:
        done = run(command, *words, enter=group.enter)
        return Tried(done.returncode, killed=group.killed, peak=group.peak, text=done.stdout)


def run(command: str, *words: str, enter: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs revseg-COMMAND; all that it prints is its stdout."""
    return subprocess.run(
        [sys.executable, "-m", f"revseg.{command}", *words],
        env=os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        preexec_fn=enter,  # noqa: PLW1509 (this process has no threads)
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    main()
