"""YouTube-VIS JSON: one video, an annotation for each object with its region on every frame, or null."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from revseg.output.frame import OutputFrame, Write
from revseg.output.legend import Legend
from revseg.output.regions import file_names, region_of
from revseg.output.source import Source
from revseg.runs.atomic import writing

LISTS = ("segmentations", "bboxes", "areas")


@contextmanager
def youtube_vis(path: Path, source: Source, legend: Legend) -> Iterator[Write]:
    """Writes youtube_vis.json. Its lists run over the frames, one object after the other: until the end they wait in files."""
    size = (0, 0)
    with ExitStack() as stack:
        stack.enter_context(writing(path))
        waiting = {number: stack.enter_context(TemporaryFile("w+", dir=path.parent, encoding="utf-8")) for number in legend.ids}

        def write(frame: OutputFrame) -> None:
            nonlocal size
            size = frame.mask.shape[0], frame.mask.shape[1]
            for number, file in waiting.items():
                region = region_of(frame.mask, number)
                values = (None, None, None) if region is None else (region.segmentation, region.box, region.area)
                file.writelines(f"{json.dumps(value)}\n" for value in values)

        yield write
        with path.open("w", encoding="utf-8") as file:
            _write(file, waiting, source, legend=legend, size=size)


def _write(file: TextIO, waiting: Mapping[int, TextIO], source: Source, *, legend: Legend, size: tuple[int, int]) -> None:
    shared = {"height": size[0], "width": size[1], "length": len(source.names)}
    video = {"id": 1, "name": source.path.stem, **shared, "file_names": file_names(source)}
    head = json.dumps({"videos": [video], "categories": legend.categories()})
    file.write(f'{head[:-1]},\n"annotations": [')
    for index, number in enumerate(legend.ids):
        about = json.dumps({"id": number, "video_id": 1, "category_id": number, "iscrowd": 0, **shared})
        file.write(f"{',' if index else ''}\n{about[:-1]}")
        for column, name in enumerate(LISTS):
            waiting[number].seek(0)
            lines = islice(waiting[number], column, None, len(LISTS))
            file.write(f', "{name}": [')
            file.writelines(f"{', ' if frame else ''}{line.strip()}" for frame, line in enumerate(lines))
            file.write("]")
        file.write("}")
    file.write("\n]}\n")
