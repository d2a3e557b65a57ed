"""The frames of a video as the page shows them: pictures, thumbnails, and features by which frames are alike."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.tasks.config import DataConfig
from revseg.video.read import native_frames

LARGEST = 1440
"""Lines of a picture at most: labels are drawn on pixels of the video's own size in any case."""
QUALITY = 90
"""JPEG's. Pictures are only looked at."""
THUMBNAIL = 54
"""Lines of a thumbnail."""
ACROSS, DOWN = 8, 8
"""Thumbnails on a sheet, which is one file for the browser."""
CELLS = 6
"""A feature is the mean colour, and how much it changes, in so many cells across and down."""


class Film:
    """A video that is decoded once, in a thread of its own, into a file without a name. Frames can be seen as soon as they
    are there.

    names, features: of the frames so far. size: (H, W) of the video. problem: the sentence that ended the decoding.
    """

    def __init__(self, data: DataConfig) -> None:
        self.data, self.path = data, Path(str(data.video))
        self.names: list[str] = []
        self.features: list[NDArray[np.float32]] = []
        self.size: tuple[int, int] | None = None
        self.complete, self.problem = False, ""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the page is)
        self._ends = [0]
        self._sheets: list[bytes] = []
        self._filling: NDArray[np.uint8] | None = None
        self._before: NDArray[np.float32] | None = None
        self._first = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._decode, daemon=True)

    def open(self) -> None:
        """Begins to decode; returns when the first frame is there. Raises ValueError in one sentence where there is none."""
        self._thread.start()
        self._first.wait()
        if not self.names:
            raise ValueError(self.problem or f"no frame of {self.path} can be decoded: give a video with at least one frame")

    def picture(self, index: int) -> bytes:
        """Returns a frame as JPEG. Raises IndexError where it is not there (yet)."""
        if not 0 <= index < len(self.names):
            raise IndexError(index)
        start, end = self._ends[index : index + 2]
        return os.pread(self._file.fileno(), end - start, start)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Returns a frame, BGR (H, W, 3), at the size of the pictures."""
        found = cv2.imdecode(np.frombuffer(self.picture(index), np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(found, np.uint8)

    def sheet(self, number: int) -> bytes:
        """Returns a sheet of thumbnails as JPEG, row by row; frames that are not there yet are black."""
        filling = self._filling  # first: it may be full meanwhile, and another one be begun
        if number < len(self._sheets):
            return self._sheets[number]
        if number > len(self._sheets) or filling is None:
            raise IndexError(number)
        return _encoded(filling)

    def close(self) -> None:
        """Ends the decoding."""
        self._closed = True
        self._thread.join()
        self._file.close()

    def _decode(self) -> None:
        try:
            with closing(native_frames(self.path, self.data.reading)) as frames:
                for frame in frames:
                    if self._closed:
                        break
                    self._add(frame.name, np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR), np.uint8))
                    self.size = frame.native_size
                    self.names.append(frame.name)  # last: from here on it can be asked for
                    self._first.set()
            self.complete = True
        except (ValueError, OSError) as error:
            self.problem = " ".join(str(error).split())
            logging.getLogger(__name__).warning(self.problem)
        finally:
            self._first.set()

    def _add(self, name: str, picture: NDArray[np.uint8]) -> None:
        """picture: BGR (H, W, 3)."""
        lines, columns = picture.shape[:2]
        if lines > LARGEST:
            picture = _resized(picture, (LARGEST, max(1, round(columns * LARGEST / lines))))
        data = _encoded(picture)
        if not data:
            raise ValueError(f"frame {name} of {self.path} cannot be shown: it is {columns} x {lines} pixels")
        os.pwrite(self._file.fileno(), data, self._ends[-1])
        self._ends.append(self._ends[-1] + len(data))
        small = _resized(picture, (THUMBNAIL, self._thumbnail_width(picture)))
        self._put_on_sheet(small)
        cells = _resized(small, (CELLS, CELLS)).astype(np.float32).ravel() / np.float32(255)
        change = np.zeros_like(cells) if self._before is None else np.abs(cells - self._before)
        self._before = cells
        self.features.append(np.concatenate([cells, change]))

    def _put_on_sheet(self, small: NDArray[np.uint8]) -> None:
        """Sheets that are full are kept as JPEG: as pixels, those of an hour would take more than a gigabyte."""
        place, (height, width) = len(self.names) % (ACROSS * DOWN), small.shape[:2]
        if self._filling is None or place == 0:
            if self._filling is not None:
                self._sheets.append(_encoded(self._filling))
            self._filling = np.zeros((DOWN * height, ACROSS * width, 3), np.uint8)
        row, column = divmod(place, ACROSS)
        self._filling[row * height : (row + 1) * height, column * width : (column + 1) * width] = small

    @staticmethod
    def _thumbnail_width(picture: NDArray[np.uint8]) -> int:
        lines, columns = picture.shape[:2]
        return int(np.clip(round(columns * THUMBNAIL / lines), 8, 4 * THUMBNAIL))


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _encoded(picture: NDArray[np.uint8]) -> bytes:
    """JPEG; empty where OpenCV refuses."""
    found, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if found else b""
