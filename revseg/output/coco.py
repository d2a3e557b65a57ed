"""COCO JSON: an image for each frame, an annotation for each object on it, written as the masks come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revseg.output.frame import OutputFrame, Write
from revseg.output.legend import Legend
from revseg.output.regions import file_names, region_of
from revseg.output.source import Source
from revseg.runs.atomic import writing


@contextmanager
def coco(path: Path, source: Source, legend: Legend) -> Iterator[Write]:
    """Writes coco.json. A category is an object, and track_id says that it is the same one on all frames."""
    files, images, count = file_names(source), list[dict[str, object]](), 0
    with writing(path), path.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')

        def write(frame: OutputFrame) -> None:
            nonlocal count
            height, width = frame.mask.shape
            number = 1 + frame.index
            images.append({"id": number, "file_name": files[frame.index], "height": height, "width": width})
            for each in legend.ids:
                if (region := region_of(frame.mask, each)) is None:
                    continue
                count += 1
                about = {"id": count, "image_id": number, "category_id": each, "track_id": each, "iscrowd": 0}
                found = {"segmentation": region.segmentation, "bbox": region.box, "area": region.area}
                file.write(f"{',' if count > 1 else ''}\n{json.dumps(about | found)}")

        yield write
        rest = json.dumps({"images": images, "categories": legend.categories()})
        file.write(f"\n],\n{rest[1:]}\n")
