"""What is done to checkpoints beyond the damage of bytes: their content changes, and their checksums are right."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

VALUES: list[Any] = [
    None,
    0,
    -1,
    1,
    3,
    10**9,
    2**70,
    1.5,
    float("nan"),
    float("inf"),
    True,
    "",
    "x",
    [],
    [1],
    {},
    {"a": 1},
    (1, 2),
    b"x",
    {1},
    1j,
]


def changed(path: Path, random: Random) -> None:
    """Rewrites a checkpoint with one thing in it that is wrong."""
    random.choice((_content, _content, _content, _tensor, _tensor, _pickle, _entries))(path, random)


def _content(path: Path, random: Random) -> None:
    """Takes away, adds or replaces anything in the nested dicts and lists."""
    content = torch.load(path, weights_only=True)
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [content]
    while waiting:
        part = waiting.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part))
        places += [(part, key) for key in keys]
        waiting += [part[key] for key in keys if isinstance(part[key], (dict, list))]
    part, key = random.choice(places)
    how = random.random()
    if how < 0.2 and isinstance(part, dict):
        del part[key]
    elif how < 0.3 and isinstance(part, dict):
        part[random.choice(("new", 3, None))] = random.choice(VALUES)
    else:
        part[key] = random.choice(VALUES)
    torch.save(content, path)


def _tensor(path: Path, random: Random) -> None:
    content = torch.load(path, weights_only=True)
    name = random.choice(list(content["weights"]))
    tensor = content["weights"][name]
    changes: tuple[Callable[[], Any], ...] = (
        lambda: tensor.double(),
        lambda: tensor.half(),
        lambda: tensor.int(),
        lambda: tensor * float("nan"),
        lambda: tensor / 0,
        lambda: tensor * 1e30,
        lambda: tensor[..., :1],
        lambda: tensor[None],
        lambda: tensor.to_sparse(),
        lambda: tensor.flatten()[:1].expand(10**9),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.to("meta"),
        lambda: torch.nn.Parameter(tensor),
    )
    content["weights"][name] = random.choice(changes)()
    torch.save(content, path)


class _Call:
    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.call = function, given

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def _pickle(path: Path, random: Random) -> None:
    """Another pickle: one that calls something, one that grows, or the right one with damaged bytes."""
    from fuzzing.mutations import damaged

    with zipfile.ZipFile(path) as archive:
        right = archive.read("archive/data.pkl")
    choices = (
        pickle.dumps(_Call(eval, "print('ran')"), random.choice((2, 4))),
        pickle.dumps(_Call(bytearray, 10**12), 2),
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        damaged(right, random),
        damaged(right, random),
        damaged(right, random),
    )
    rewrite(path, {"archive/data.pkl": random.choice(choices)})


def _entries(path: Path, random: Random) -> None:
    """Other entries in the archive: compressed, doubled, missing, too short."""
    with zipfile.ZipFile(path) as archive:
        name = random.choice(archive.namelist())
        content = archive.read(name)
    rewrite(path, {name: random.choice((b"", content[:-1], content * 2, bytes(50 << 20)))}, compressed=random.random() < 0.5)


def rewrite(path: Path, other: dict[str, bytes], *, compressed: bool = False) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer, "w") as copy:
        for name in archive.namelist():
            method = zipfile.ZIP_DEFLATED if compressed and name in other else zipfile.ZIP_STORED
            copy.writestr(name, other.get(name, archive.read(name)), method)
    path.write_bytes(buffer.getvalue())
