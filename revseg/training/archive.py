"""Reads files that `torch.save` wrote, whoever made them: numbers, text, lists, dicts and tensors, and nothing else.

Such a file is a zip archive. Its entry data.pkl says what there is; data/0, data/1, ... hold the numbers of the tensors. Here

    nothing that the file names is called, and no type is made but those above;
    nothing is allocated that is not in the file: entries are not compressed, and each number is read once;
    the outline, with the sizes of all tensors, is there before the first tensor is;
    every entry that is read has the checksum that the archive says.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import stat
import struct
import sys
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

LARGEST_OUTLINE = 16 << 20
"""Bytes of data.pkl: some kilobytes for a network, 9 bytes for a loss. A list of a million entries in memory takes far more."""

DEEPEST, MOST_PARTS = 16, 2_000_000
"""Lists and dicts inside each other, and all that is in them: a list may hold itself, or be named very often."""

OPERATIONS = frozenset((
    "PROTO", "STOP", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "MARK", "NONE", "NEWTRUE", "NEWFALSE",
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
))  # fmt: skip
"""What torch.save writes into data.pkl."""

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

MALFORMED = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
)
"""What the parsers of Python raise at malformed bytes."""


class Storage(NamedTuple):
    """Where the numbers of tensors lie."""

    entry: str
    dtype: torch.dtype
    size: int
    """How many numbers."""


class Outline(NamedTuple):
    """A tensor that is not read yet."""

    storage: Storage
    start: int
    shape: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        return self.storage.dtype

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """An open file of `torch.save`: `with Archive(path) as archive:`. Raises ValueError where it is none, or is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device has no end
            raise ValueError(f"{path} is not a file; give a checkpoint that revseg-train wrote")
        self._file = path.open("rb")
        self._size = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Archive:
        try:
            if not zipfile.is_zipfile(self._file):
                raise ValueError(f"{self.path} is not a revseg checkpoint, or it is truncated; give one that revseg-train wrote")
            self._open()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def outline(self) -> Any:
        """Returns the content, with an ``Outline`` in place of every tensor."""
        pickled = self._entry(f"{self._root}/data.pkl", LARGEST_OUTLINE)
        try:
            _check_operations(pickled)
            content = _Outlines(self, pickled).load()
            total = sum(tensor.bytes for tensor in {id(each): each for each in _outlines(content)}.values())
        except MALFORMED as error:
            raise self._damaged(f"{error}") from error
        if total > self._size:
            raise self._damaged(f"its tensors would take {total:,} bytes, and the file has {self._size:,}")
        return content

    def tensor(self, outline: Outline) -> Tensor:
        """Reads a tensor, on the CPU."""
        count = math.prod(outline.shape)
        if count == 0:
            return torch.empty(outline.shape, dtype=outline.dtype)
        whole = torch.frombuffer(bytearray(self._entry(outline.storage.entry, self._size)), dtype=outline.dtype)
        return whole[outline.start : outline.start + count].view(outline.shape)

    def storage(self, name: Any) -> Storage:
        """Returns the storage that the pickle names: ("storage", dtype, entry, device, count)."""
        kind, dtype, entry, _, count = name
        if not (kind == "storage" and isinstance(dtype, torch.dtype) and isinstance(entry, str) and type(count) is int):
            raise pickle.UnpicklingError("it names something that is no storage")
        path = f"{self._root}/data/{entry}"
        if self._entries[path].file_size != count * dtype.itemsize:
            raise pickle.UnpicklingError(f"{path} is said to hold {count} numbers, which is not its size")
        return Storage(path, dtype, count)

    def _open(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self._file)
            entries = self._zip.infolist()
        except (*MALFORMED, OSError) as error:
            raise self._damaged("its table of contents cannot be read") from error
        self._entries = {entry.filename: entry for entry in entries}
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise self._damaged(f"{entry.filename!r} in it is compressed, which revseg-train does not do")
        if len(self._entries) < len(entries) or sum(entry.file_size for entry in entries) > self._size:
            raise self._damaged("its entries overlap")
        roots = [name.removesuffix("/data.pkl") for name in self._entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(f"{self.path} is not a revseg checkpoint, or it is truncated; give one that revseg-train wrote")
        self._root = roots[0]
        order = f"{self._root}/byteorder"
        if order in self._entries and self._entry(order, 16).decode("ascii", "replace") != sys.byteorder:
            raise self._damaged(f"its numbers are not in this machine's order of bytes, {sys.byteorder}")

    def _entry(self, name: str, most: int) -> bytes:
        if self._entries[name].file_size > most:
            raise self._damaged(f"{name!r} in it has {self._entries[name].file_size:,} bytes, more than {most:,}")
        try:
            return self._zip.read(name)
        except (*MALFORMED, RuntimeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None and error.strerror != "Invalid argument":
                raise  # the disk's fault
            raise self._damaged(f"the checksum of {name!r} in it is wrong") from error

    def _damaged(self, what: str) -> ValueError:
        told = " ".join(what.split())[:200]
        return ValueError(f"{self.path} is not a revseg checkpoint, or it is damaged: {told}; give one that revseg-train wrote")


class _Outlines(pickle.Unpickler):
    """Makes lists, dicts and outlines, whatever the pickle asks for."""

    def __init__(self, archive: Archive, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.archive = archive

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {("collections", "OrderedDict"): _Mapping, ("torch._utils", "_rebuild_tensor_v2"): _outline}
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}, and no checkpoint does")
        return known[module, name]

    def persistent_load(self, pid: object) -> Storage:
        return self.archive.storage(pid)


class _Mapping(dict):
    """Stands for an OrderedDict, whose attributes are of no interest."""

    def __setstate__(self, state: object) -> None:
        pass


def _outline(storage: Any, start: Any, shape: Any, strides: Any, *_: object) -> Outline:
    """Returns the outline of a tensor whose numbers lie one after the other, as all those of a checkpoint do."""
    if not isinstance(storage, Storage) or any(type(number) is not int or number < 0 for number in (start, *shape, *strides)):
        raise pickle.UnpicklingError("it has a tensor of no size")
    step = 1
    for side, stride in zip(reversed(shape), reversed(strides), strict=True):
        if side > 1 and stride != step:
            raise pickle.UnpicklingError("it has a tensor whose numbers do not lie one after the other")
        step *= side
    if start + step > storage.size:
        raise pickle.UnpicklingError(f"it has a tensor of shape {shape}, which {storage.entry} is too small for")
    return Outline(storage, start, tuple(shape))


def _check_operations(pickled: bytes) -> None:
    """Raises ValueError for what torch.save does not write; the unpickler would take any number for the place of a note."""
    for number, (operation, argument, _) in enumerate(pickletools.genops(pickled)):
        if operation.name not in OPERATIONS:
            raise ValueError(f"its pickle has the operation {operation.name}")
        if operation.name in ("BINPUT", "LONG_BINPUT") and (argument or 0) > number:
            raise ValueError("its pickle numbers its objects wrongly")


def _outlines(content: object) -> list[Outline]:
    """Returns all outlines in nested lists and dicts. Raises ValueError where these are too deep or hold something else."""
    found, waiting, left = [], [(content, 0)], MOST_PARTS
    while waiting:
        part, depth = waiting.pop()
        left -= 1
        if depth > DEEPEST or not left:
            raise ValueError("lists and dicts in it hold each other")
        if isinstance(part, Outline):
            found.append(part)
        elif isinstance(part, dict):
            waiting += [(each, depth + 1) for each in (*part, *part.values())]
        elif type(part) in (list, tuple):
            waiting += [(each, depth + 1) for each in part]  # type: ignore[attr-defined]
        elif not (part is None or type(part) in (bool, int, float, str)):
            raise ValueError(f"it holds a {type(part).__name__}, and no checkpoint does")
    return found
