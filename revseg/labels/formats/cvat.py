"""CVAT XML 1.1, for images and for video.

For images: a frame with any shape is labelled. CVAT lists all frames, and does not tell "nothing there" from "not looked at".

For video: shapes belong to tracks. CVAT shows a track from a keyframe on, up to the next one or up to one that is outside; in
between it makes the shape by interpolation, which is a guess. So a frame is a label where every track that is visible in it has a
keyframe, and at least one is visible. occluded is not heeded: the outline is that which the person drew.

Shapes of a higher z_order lie above others, and later ones above earlier ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from revseg.labels.formats.document import Document, Drawing, Figure, Shape, Size
from revseg.labels.formats.figures import Patch, Polygons, Strokes, box, ellipse
from revseg.labels.formats.rle import by_rows
from revseg.labels.formats.text import AGAIN, number, points_of

KINDS = ("polygon", "mask", "box", "ellipse", "polyline", "points")
LEFT_OUT = ("tag", "attribute", "meta", "version")
MOST_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A mask that is made when it is asked for."""

    counts: tuple[int, ...]
    left: int
    top: int
    size: Size
    whole: bool = True

    def pixels(self, size: Size, stroke_width: int) -> np.ndarray:
        """Returns the mask."""
        return Patch(by_rows(self.counts, self.size), self.left, self.top).pixels(size, stroke_width)


def recognises(root: Element) -> bool:
    """Whether parsed XML is what CVAT writes."""
    return root.tag == "annotations" and (root.find("image") is not None or root.find("track") is not None or _is_task(root))


def read(root: Element, path: Path) -> Document:
    """Returns the labelled frames."""
    version = root.findtext("version")
    if version not in ("1.1", None):
        raise ValueError(f"labels {path} are CVAT XML {version}, and 1.1 is read: export CVAT for images or video 1.1")
    if root.find("image") is not None or root.find("track") is None:
        return _of_images(root, path)
    return _of_video(root, path)


def _is_task(root: Element) -> bool:
    return root.find("meta") is not None and root.find("version") is not None


def _of_images(root: Element, path: Path) -> Document:
    drawings, empty, kinds = [], 0, Counter[str]()
    for image in root.iter("image"):
        name = image.get("name") or image.get("id") or ""
        shapes = [_ordered(element, f"{element.tag} on image {name} of labels {path}") for element in _shapes(image, path)]
        kinds.update(element.tag for element in image)
        if shapes:
            size = _size(image.get("height"), image.get("width"))
            drawings.append(Drawing(name, tuple(shape for _, shape in sorted(shapes, key=lambda pair: pair[0])), size))
        else:
            empty += 1
    remarks = [f"{empty} of its frames have no shape and are not labels"] if empty else []
    return Document("CVAT for images 1.1", tuple(drawings), _labels(root), remarks=(*remarks, *_boxes(kinds)))


@dataclass(frozen=True, eq=False)
class _Track:
    """An object that is followed."""

    key: str
    states: dict[int, Element]
    """By frame: keyframes, and shapes that CVAT has interpolated."""

    def state(self, frame: int) -> Element | None:
        """What is visible of it on a frame: the last shape up to there, unless it is outside."""
        last = max((other for other in self.states if other <= frame), default=None)
        return None if last is None or self.states[last].get("outside") == "1" else self.states[last]

    def keyframes(self) -> Iterable[int]:
        """The frames that a person has labelled."""
        return (frame for frame, element in self.states.items() if _is_key(element) and element.get("outside") != "1")

    @property
    def followed(self) -> bool:
        """Whether it is on more than one frame: CVAT writes a shape that belongs to no track as one of a single frame."""
        return len(list(self.keyframes())) > 1


def _of_video(root: Element, path: Path) -> Document:
    tracks = [_track(element, path, index) for index, element in enumerate(root.iter("track"))]
    follows = any(track.followed for track in tracks)
    size = _size(root.findtext("meta//original_size/height"), root.findtext("meta//original_size/width"))
    drawings, partly, kinds = [], [], Counter[str]()
    for frame in sorted({frame for track in tracks for frame in track.keyframes()}):
        visible = [(track, state) for track in tracks if (state := track.state(frame)) is not None]
        if not all(_is_key(state) and frame in track.states for track, state in visible):
            partly.append(str(frame))
            continue
        shapes = [
            _ordered(state, f"track {track.key} of labels {path}, frame {frame}", track.key if follows else None)
            for track, state in visible
        ]
        kinds.update(state.tag for _, state in visible)
        drawings.append(Drawing(f"{frame:06d}", tuple(shape for _, shape in sorted(shapes, key=lambda pair: pair[0])), size))
    remarks = list(_boxes(kinds))
    if partly:
        listed = ", ".join(partly[:8]) + (f" and {len(partly) - 8} more" if len(partly) > 8 else "")
        remarks.append(f"not labels, since a track has no keyframe there: frame {listed}")
    if not drawings and partly:
        raise ValueError(f"labels {path} have no frame with a keyframe of all its tracks: set keyframes of all on some frames")
    return Document("CVAT for video 1.1", tuple(drawings), _labels(root), remarks=tuple(remarks))


def _track(element: Element, path: Path, index: int) -> _Track:
    key, label, states = element.get("id", str(index)), element.get("label"), dict[int, Element]()
    for shape in _shapes(element, path):
        frame = shape.get("frame", "")
        if not frame.isdecimal():
            raise ValueError(f"track {key} of labels {path} has a shape of frame {frame[:20]!r}: {AGAIN}")
        shape.set("label", label or "")
        states[int(frame)] = shape
    return _Track(key, states)


def _shapes(parent: Element, path: Path) -> Sequence[Element]:
    other = next((each.tag for each in parent if each.tag not in (*KINDS, *LEFT_OUT)), None)
    if other is not None:
        raise ValueError(f"labels {path} have a {other}, which is no area: draw polygons, masks, ellipses, boxes or lines")
    return [each for each in parent if each.tag in KINDS]


def _is_key(element: Element) -> bool:
    return element.get("keyframe") == "1"


def _ordered(element: Element, where: str, instance: str | None = None) -> tuple[float, Shape]:
    """Its place above others, and the shape."""
    label = element.get("label")
    if not label:
        raise ValueError(f"{where} has no label: {AGAIN}")
    try:
        return number(element.get("z_order", "0")), Shape(label, _figure(element), instance)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} cannot be read ({error}): {AGAIN}") from error


def _figure(element: Element) -> Figure:
    if element.tag in ("polygon", "polyline", "points"):
        points = points_of(pair.split(",") for pair in element.get("points", "").split(";") if pair)
        if element.tag == "polygon":
            if len(points) < 3:
                raise ValueError("a polygon has less than three corners")
            return Polygons((points,))
        return Strokes(tuple(points[:, None]) if element.tag == "points" or len(points) == 1 else (points,))
    if element.tag == "mask":
        left, top, width, height = (int(number(element.get(name))) for name in ("left", "top", "width", "height"))
        if width < 1 or height < 1 or width * height > MOST_PIXELS:
            raise ValueError(f"its mask is {width} x {height} pixels")
        return RunLengths(tuple(map(int, element.get("rle", "").split(","))), left, top, size=(height, width))
    turned = number(element.get("rotation", "0"))
    if element.tag == "box":
        x0, y0, x1, y1 = (number(element.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
        return box(x0, y0, x1, bottom=y1, degrees=turned)
    x, y, across, down = (number(element.get(name)) for name in ("cx", "cy", "rx", "ry"))
    return ellipse(x, y, across, down=down, degrees=turned)


def _size(height: str | None, width: str | None) -> Size | None:
    found = [text for text in (height, width) if text and text.isdecimal()]
    return (int(found[0]), int(found[1])) if len(found) == 2 else None


def _labels(root: Element) -> tuple[str, ...]:
    """Names of the labels of the task, or of the project, in their order."""
    return tuple(dict.fromkeys(name.text for name in root.iterfind("meta//labels/label/name") if name.text))


def _boxes(kinds: Counter[str]) -> list[str]:
    return [f"{kinds['box']} boxes are filled, as CVAT's own masks are"] if kinds["box"] else []
