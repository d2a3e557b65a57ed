"""Pieces of the command lines, so that the same flag means the same in all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path


def parser(doc: str | None, device: bool = False) -> argparse.ArgumentParser:
    """Returns a parser whose --help begins with the script's docstring; device: with --device."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if device:
        made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return made


def add_data_set(made: argparse.ArgumentParser, known: Iterable[str], output: str, page: str) -> None:
    """Adds what the benchmarks on DAVIS share: root, seeds, methods, output, page and settings of revseg-train."""
    known = list(known)
    made.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages, Annotations and ImageSets lie")
    made.add_argument("--seeds", type=numbers, default=[0], help="of the trainings (default: 0)")
    made.add_argument("--methods", type=some_of(known), default=known, help=f"of {','.join(known)} (default: all)")
    made.add_argument("--output", type=Path, help=f"folder of the results (default: {output})")
    made.add_argument("--page", type=Path, help=f"Markdown page whose section is written (default: {page} in --output)")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def numbers(text: str) -> list[int]:
    return [int(word) for word in words(text)]


def some_of(known: list[str]) -> Callable[[str], list[str]]:
    """Returns a reader of comma-separated names out of `known`."""

    def names(text: str) -> list[str]:
        for word in words(text):
            if word not in known:
                raise argparse.ArgumentTypeError(f"there is no {word!r}; choose among {', '.join(known)}")
        return words(text)

    return names


def height(text: str) -> int | None:
    return None if text == "native" else int(text)


def size(text: str) -> tuple[int, int, int]:
    """Reads frames x height x width, as 40x480x854."""
    frames, rows, columns = map(int, text.split("x"))
    return frames, rows, columns
