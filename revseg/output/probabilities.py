"""probabilities.npy: float16 (T, O, H, W), frame by frame; plane 0 is the background, the others are the objects in order.

prediction.json says which plane is which object. numpy.load(..., mmap_mode="r") opens it without reading all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from revseg.output.frame import OutputFrame, Write
from revseg.runs.atomic import writing


@contextmanager
def probabilities(path: Path, frames: int) -> Iterator[Write]:
    """Writes the array of so many frames."""
    with writing(path), path.open("wb") as file:

        def write(frame: OutputFrame) -> None:
            planes = frame.segmented.probabilities
            assert planes is not None
            if not frame.index:
                header = {"descr": np.lib.format.dtype_to_descr(planes.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, header | {"shape": (frames, *planes.shape)})
            file.write(np.ascontiguousarray(planes).data)

        yield write
