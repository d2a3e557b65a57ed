"""Labels videos through revseg-label's page, as a person does: how long it takes, and how many labels reach which J.

    python scripts/label_trial.py --root data/DAVIS [--sequences blackswan,car-shadow,libby] [--labels 5] [key=value ...]

For each sequence the page is opened in a browser in a fresh folder. The frame that the page names first is outlined with at most
40 clicks along the true mask, the outline is snapped to edges, and trained on; then the frame that it names next, and so on.
J is measured on all frames without a label, at native size. A round is what lies between the click on Train and masks on the
page; processor seconds are those of the server and its training together. pictures: the page at five moments of the first
sequence.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from harness import ROOT, arguments
from harness.browser import Hand, browser, processor_seconds, serve
from harness.page import table, write_section
from harness.results import Results

from revseg.evaluation.measures import region_similarity
from revseg.labels.masks import Labels, read_mask

LONGEST = 3600
"""Seconds that a round may take."""
MOMENTS = {(1, "seen"): "look", (1, "drawn"): "stroke", (2, "seen"): "masks", (2, "drawn"): "correction", (3, "seen"): "better"}
"""(label, moment) -> picture."""
HEADER = ("sequence", "labels", "frame", "J of what is drawn", "J of the others", "seconds of the round", "processor seconds",
          "seconds since the first stroke")  # fmt: skip


def main() -> None:
    given = parse()
    results = Results(given.output, {"labels": given.labels, "settings": given.overrides})
    with browser() as chromium:
        for number, name in enumerate(given.sequences):
            if results.get(name) is None:
                pictures = given.pictures if number == 0 else None
                results.keep(name, {"rows": list(trial(chromium, given.root, name, given=given, pictures=pictures))})
    found = [(name, record["rows"]) for name in given.sequences if (record := results.get(name))]
    text = table(HEADER, [(name, *row) for name, rows in found for row in rows])
    print(text)
    if given.page:
        write_section(given.page, "label_trial", given.section, text)


def trial(chromium: Any, root: Path, name: str, *, given: argparse.Namespace, pictures: Path | None) -> Iterator[tuple[str, ...]]:
    """Yields a row for each label."""
    video, truth = root / "JPEGImages" / "480p" / name, true_masks(root, name)
    with tempfile.TemporaryDirectory() as folder:
        served = serve(video, Path(folder), given.overrides)
        try:
            page = chromium.new_page(viewport={"width": 1120, "height": 720})
            page.goto(served.address)
            page.locator("#where", has_text=re.compile(r"of \d+$")).wait_for()
            truth = truth[: count_of(page)]
            page.locator("#canvas[aria-busy=false]").wait_for()
            hand, begun, labelled = Hand(page, truth[0].shape), time.monotonic(), set[int]()
            for count in range(1, given.labels + 1):
                frame = next_frame(page, labelled)
                hand.go(frame)
                photograph(page, pictures, (count, "seen"))
                drawn = draw(hand, truth[frame], Path(folder) / "labels" / name / f"{frame:05d}.png")
                labelled.add(frame)
                photograph(page, pictures, (count, "drawn"))
                started, worked = time.monotonic(), processor_seconds(served.process.pid)
                train(page)
                now, worked = time.monotonic(), processor_seconds(served.process.pid) - worked
                masks = Path(folder) / "runs" / name / "predictions" / "masks"
                others = [
                    J(read_mask(masks / f"{i:05d}.png", "davis2017"), truth[i]) for i in range(len(truth)) if i not in labelled
                ]
                reached = [f"{drawn:.3f}", f"{fmean(others):.3f}"]
                row = f"{count}", f"{frame}", *reached, f"{now - started:.0f}", f"{worked:.0f}", f"{now - begun:.0f}"
                print(name, *row, sep="  ", flush=True)
                yield row
            page.close()
        finally:
            served.end()


def next_frame(page: Any, labelled: set[int]) -> int:
    """The frame that the page names first; where it names none, that of which least is expected is sure enough: the middle."""
    named = [int(text) for text in page.locator("#next button").all_inner_texts()]
    left = [frame for frame in named if frame not in labelled]
    count = count_of(page)
    return left[0] if left else next(frame for frame in (count // 2, count - 1, 0, *range(count)) if frame not in labelled)


def count_of(page: Any) -> int:
    """Returns the number of frames."""
    return int(page.inner_text("#where").split()[3])


def draw(hand: Hand, truth: Labels, file: Path) -> float:
    """Outlines and snaps; returns J of what is then written."""
    page = hand.page
    if not page.locator("#remove:enabled").count():  # a mask of the last round is where a person begins; here all is drawn anew
        page.keyboard.press("c")
    hand.outline(truth)
    wait_until_saved(page)
    outlined = J(read_mask(file, "davis2017", ids=True), truth)
    page.keyboard.press("s")
    page.locator("#canvas[aria-busy=false]").wait_for()
    wait_until_saved(page)
    snapped = J(read_mask(file, "davis2017", ids=True), truth)
    if snapped < outlined:  # a person sees that
        page.keyboard.press("Control+z")
        wait_until_saved(page)
    return max(snapped, outlined)


def wait_until_saved(page: Any) -> None:
    page.locator("#said", has_text="saved").wait_for()


def train(page: Any) -> None:
    """Clicks, and waits for masks."""
    page.click("#train")
    page.locator("#bar").wait_for()
    page.locator("#phase", has_text="masks are there").wait_for(timeout=1000 * LONGEST)
    page.locator("#canvas[aria-busy=false]").wait_for()


def photograph(page: Any, folder: Path | None, moment: tuple[int, str]) -> None:
    if folder is not None and (name := MOMENTS.get(moment)):
        folder.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1000)  # thumbnails come after the frame
        page.screenshot(path=folder / f"label_{name}.jpg", type="jpeg", quality=70)


def true_masks(root: Path, name: str) -> list[Labels]:
    return [read_mask(path, "davis2016") for path in sorted((root / "Annotations" / "480p" / name).glob("*.png"))]


def J(mask: Labels, truth: Labels) -> float:
    return region_similarity(mask == 1, truth == 1)


def parse() -> argparse.Namespace:
    made = arguments.parser(__doc__)
    made.add_argument("--root", type=Path, required=True, help="folder DAVIS")
    made.add_argument("--sequences", type=arguments.words, default=["blackswan", "car-shadow", "libby"])
    made.add_argument("--output", type=Path, default=ROOT / "runs" / "label_trial", help="folder of the results, one a sequence")
    made.add_argument("--labels", type=int, default=5, help="rounds of each (default: 5)")
    made.add_argument("--page", type=Path, help="Markdown page whose section is written")
    made.add_argument("--section", default="through the page", help="name of the page's section (default: 'through the page')")
    made.add_argument("--pictures", type=Path, help="folder for pictures of the page")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="settings of revseg-train")
    return made.parse_intermixed_args()


if __name__ == "__main__":
    main()
