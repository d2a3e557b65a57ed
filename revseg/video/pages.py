"""Pages of a TIFF file as arrays, of any depth that Pillow or OpenCV reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from revseg.video import pixels

PICTURES = ("1", "L", "P", "RGB", "RGBA", "PA", "LA")
"""Kinds of pixels of 8 bits or fewer."""
DEEP = ("I;16", "I;16B", "I;16L", "I", "F")
"""Kinds of numbers of more bits, one channel each."""
ERRORS = (OSError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError)
"""What Pillow raises at damaged pages; TypeError where one has no size."""


class Pages:
    """The pages of a file, in order. Raises ValueError in one sentence for what cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._image: Image.Image | None = Image.open(path)  # kept open: a page is found through those before
            self.mode, self._count = self._image.mode, getattr(self._image, "n_frames", 1)
        except FileNotFoundError as error:
            raise ValueError(f"volume {path} does not exist: check the path") from error
        except UnidentifiedImageError as error:  # Pillow knows no pages of several channels of 16 or 32 bits
            # Of other files, OpenCV's decoders write to the terminal.
            self._image, self.mode, self._count = None, "", _quietly(cv2.imcount, str(path)) if _is_tiff(path) else 0
            if not self._count:
                raise ValueError(f"{path} is not a readable picture: get a whole copy, or save it as .npy") from error
        except ERRORS as error:
            raise ValueError(f"{path} is not a readable picture ({error}): get a whole copy, or save it as .npy") from error
        if max(_bits(self._image), default=8) > 8 and self.mode in PICTURES:  # Pillow would cut each channel to 8 bits
            self.mode = ""
        if self.mode and self.mode not in PICTURES + DEEP:
            raise ValueError(f"{path} has pixels of kind {self.mode}: save it as RGB or as .npy")

    def __len__(self) -> int:
        return self._count

    @property
    def deep(self) -> bool:
        """Whether a page has more than 8 bits a channel."""
        return self.mode not in PICTURES

    def values(self, index: int) -> NDArray[Any]:
        """Returns a page as it is stored, (H, W, C): a palette page is its numbers."""
        return self._read(index, rgb=False)

    def picture(self, index: int) -> NDArray[Any]:
        """Returns a page as it looks, (H, W, C): RGB where it has 8 bits, else its values."""
        return self._read(index, rgb=not self.deep)

    def _read(self, index: int, rgb: bool) -> NDArray[Any]:
        if not self.mode or self._image is None:
            return self._several(index)
        try:
            self._image.seek(index)
            found = np.asarray(pixels.rgb(self._image, self.path) if rgb else self._image)
        except ERRORS as error:
            raise ValueError(f"page {index} of {self.path} cannot be read ({error}): get a whole copy") from error
        return found[..., None] if found.ndim == 2 else found

    def _several(self, index: int) -> NDArray[Any]:
        """A page of several channels of 16 or 32 bits."""
        read, pages = _quietly(cv2.imreadmulti, str(self.path), start=index, count=1, flags=cv2.IMREAD_UNCHANGED)
        if not read or not pages:
            raise ValueError(f"page {index} of {self.path} cannot be read: get a whole copy, or save it as .npy")
        found = np.asarray(pages[0])
        if found.ndim == 2:
            return found[..., None]
        return found[..., [2, 1, 0, *range(3, found.shape[2])]] if found.shape[2] >= 3 else found  # OpenCV has BGR


def _is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF does, of either order of bytes, BigTIFF too."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _quietly(call: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Calls OpenCV without its lines about damaged files on the terminal: what fails is told in a sentence."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return call(*arguments, **settings)
    finally:
        cv2.utils.logging.setLogLevel(level)


def _bits(image: Image.Image | None) -> tuple[int, ...]:
    """Bits of each channel, by the tag BitsPerSample; none where the file is no TIFF."""
    return tuple(getattr(image, "tag_v2", {}).get(258, ()))
