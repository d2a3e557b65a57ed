"""Several videos as a command is given them: patterns, the folder of each one's results, and its labels."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from revseg.output.folder import name_of
from revseg.video.names import identity


def is_pattern(word: str) -> bool:
    """Whether a word stands for the files that match it: it has * or ? or [...] and is no file itself."""
    return glob.has_magic(word) and not Path(word).exists()


def expanded(words: Iterable[str]) -> list[Path]:
    """Returns the videos that words name, each once; those of a pattern in the order of their names and of the numbers in these.

    Raises ValueError where a pattern matches nothing.
    """
    found: dict[Path, Path] = {}
    for word in words:
        paths = [Path(word)]
        if is_pattern(word):
            matching = map(Path, glob.glob(word, recursive=True))
            paths = sorted(matching, key=lambda path: [identity(part) for part in path.parts])
            if not paths:
                raise ValueError(f"no file matches {word}: check the pattern, and that the shell runs where the videos are")
        for path in paths:
            found.setdefault(path.absolute(), path)
    return list(found.values())


def folders_of(videos: Sequence[Path]) -> list[str]:
    """Returns a name for the results of each video: its own. Where several have one name, that of their folder comes before it,
    or the suffix stays. Raises ValueError where that does not tell them apart."""
    whole = [path.absolute() for path in videos]
    ways = (
        [name_of(path) for path in videos],
        [f"{path.parent.name}-{name_of(path)}" for path in whole],
        [f"{path.parent.name}-{path.name}" for path in whole],
    )
    names = ways[0]
    for way in ways[1:]:
        count = Counter(map(str.casefold, names))
        names = [other if count[name.casefold()] > 1 else name for name, other in zip(names, way, strict=True)]
    (name, most), *_ = Counter(map(str.casefold, names)).most_common(1)
    if most > 1:
        one, other, *_ = (path for path, each in zip(videos, names, strict=True) if each.casefold() == name)
        raise ValueError(f"the results of {one} and {other} would go to one folder: segment them by two commands, with output=")
    return names


def labels_of(video: Path, masks: Path, name: str, setting: str = "data.masks") -> Path:
    """Returns the labels of one of several videos: what has its name in a folder. Raises ValueError where there is nothing."""
    folder = masks / name
    found = [folder] if folder.exists() else sorted(masks.glob(f"{glob.escape(name)}.*"))
    if len(found) != 1:
        what = f"holds {found[0].name} and {found[1].name}" if found else f"has no folder {name}"
        raise ValueError(f"{setting}={masks} {what}, but each of several videos has its labels there: give those of {video}")
    return found[0]
