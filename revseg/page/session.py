"""A video, the labels that are drawn on it, the rounds of training and the masks that came out, together."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import Any

from revseg.evidence.expectation import least_sure
from revseg.labels.masks import Labels, read_mask
from revseg.page.diversity import representatives
from revseg.page.drawing import Drawing
from revseg.page.film import ACROSS, DOWN, Film
from revseg.page.rounds import Rounds
from revseg.page.snap import snapped
from revseg.runs.folder import RunFolder

FIRST = 5
"""Frames that are worth labelling before there is any mask."""
SURE = 0.9
"""J expected of a frame above which another label is of little use."""


class Session:
    """What the page shows and does. run: the folder of the rounds."""

    def __init__(self, film: Film, drawing: Drawing, rounds: Rounds, run: RunFolder) -> None:
        self.film, self.drawing, self.rounds, self.run = film, drawing, rounds, run
        self._number, self._lock = 0, threading.Lock()
        self._first: tuple[int, list[int]] = (-1, [])
        self._prediction: tuple[int, dict[str, Any]] = (0, {})

    def changed(self) -> int:
        """Returns the number of the first state that knows of a change made before."""
        with self._lock:
            self._number += 1
            return self._number

    def state(self) -> dict[str, Any]:
        """Returns all that the page shows beside pictures and masks."""
        number = self._number  # before anything is looked at: what changes meanwhile belongs to the next
        expected = self.expected()
        return {
            "number": number,
            "frames": len(self.film.names),
            "complete": self.film.complete,
            "problem": self.film.problem,
            "labelled": self.drawing.revisions(),
            "objects": [asdict(each) for each in self.drawing.objects],
            "round": asdict(self.rounds.round),
            "prediction": str(self._prediction[0]) if expected else "",
            "next": self.worth_labelling(expected),
        }

    def facts(self) -> dict[str, Any]:
        """Returns what does not change."""
        assert self.film.size is not None
        height, width = self.film.size
        return {"video": self.film.path.name, "height": height, "width": width, "sheet": {"across": ACROSS, "down": DOWN}}

    def expected(self) -> list[float]:
        """Returns the J expected of each frame by the last masks; none where there are none."""
        note = self.run.predictions / "prediction.json"
        try:
            changed = note.stat().st_mtime_ns
        except OSError:
            return []
        if changed != self._prediction[0]:
            try:
                self._prediction = changed, json.loads(note.read_text(encoding="utf-8"))
            except (OSError, ValueError):  # it is being replaced: the next look finds it
                return []
        found = self._prediction[1]
        return list(found.get("expected_J", ())) if found.get("complete") else []

    def predicted(self, index: int) -> Labels | None:
        """Returns the mask (H, W) of a frame that the last round made; None where there is none."""
        path = self.run.predictions / "masks" / f"{self.film.names[index]}.png"
        if not self.expected() or not path.exists():
            return None
        return read_mask(path, "davis2017", ids=True)

    def worth_labelling(self, expected: list[float]) -> list[int]:
        """Returns frames whose labels help most, best first: before there are masks, those that stand for the others; then those
        of which least is expected."""
        labelled = self.drawing.revisions()
        if expected:
            return [frame for frame in least_sure(expected, labelled.keys(), FIRST) if expected[frame] < SURE or not labelled]
        count = len(self.film.names)
        known, _ = self._first
        if known < 0 or count >= 2 * known or (self.film.complete and known != count):
            self._first = count, representatives(self.film.features[:count], FIRST)
        return [frame for frame in self._first[1] if frame not in labelled]

    def snap(self, index: int, labels: Labels, number: int) -> Labels:
        """Returns the labels of a frame with one object cut along the edges of the picture."""
        return snapped(self.film.pixels(index), labels, number)

    def start(self) -> None:
        """Starts a round. Raises ValueError where there is nothing to train on."""
        if not any((self.drawing.read(index)[0] > 0).any() for index in self.drawing.revisions()):
            raise ValueError("no frame has a label of an object yet: paint one first")
        self.rounds.start()
