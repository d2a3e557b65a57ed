"""Explores what revseg parses itself, guided by coverage: checkpoints, saved settings, words of a command line. Needs atheris."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

TOLD = (ValueError, OSError, HydraException, OmegaConfBaseException)
"""What a reader may raise; the command line makes a sentence of it."""


def explore(seconds: int, seed: int) -> int:
    """Feeds damaged bytes to each reader for a share of the time; returns 0 where nothing but sentences came."""
    try:
        import atheris
    except ImportError:
        print("revseg: --coverage needs atheris: pip install atheris", file=sys.stderr)
        return 1
    with atheris.instrument_imports(include=["revseg.training.archive", "revseg.training.content", "revseg.cli"]):
        targets = _targets()
    worst = 0
    for name, (target, examples) in targets.items():
        process = os.fork()
        if process == 0:
            _explore_one(name, target, examples, seconds=max(1, seconds // len(targets)), seed=seed)
        worst = max(worst, abs(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])))
    return int(worst != 0)


def _explore_one(name: str, target: Callable[[bytes], None], examples: list[bytes], *, seconds: int, seed: int) -> None:
    """The process's main: libFuzzer ends the process that it works in."""
    import atheris

    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, example in enumerate(examples):
        (corpus / str(number)).write_bytes(example)
    limits = [f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=4096", "-max_len=65536"]
    atheris.Setup([name, *limits, f"-seed={seed + 1}", "-print_final_stats=1", str(corpus)], target)
    print(f"{name}: {seconds} s", file=sys.stderr, flush=True)
    atheris.Fuzz()
    os._exit(0)


def _targets() -> dict[str, tuple[Callable[[bytes], None], list[bytes]]]:
    """Returns readers, and good bytes for each."""
    from fuzzing.checkpoints import rewrite
    from fuzzing.healthy import write_checkpoint
    from revseg.cli.main import TRAIN
    from revseg.cli.saved import read_saved
    from revseg.cli.settings import leaves, to_yaml
    from revseg.cli.words import Translation, read_words
    from revseg.config import TrainConfig
    from revseg.training.checkpoint import load

    folder = Path(tempfile.mkdtemp(prefix="fuzz-readers-"))
    write_checkpoint(folder / "good.pt")
    translation = Translation({leaf.key: leaf for leaf in leaves(TRAIN.settings())}, {"evidence": ["none"]}, None)

    def of_a_file(read: Callable[[Path], object]) -> Callable[[bytes], None]:
        def target(content: bytes) -> None:
            file = folder / "file"
            file.write_bytes(content)
            _told(read, file)

        return target

    def words(content: bytes) -> None:
        line = content.decode("utf-8", "replace").split("\n")
        _told(lambda typed: translation.overrides(read_words(typed)), line)

    def pickles(content: bytes) -> None:
        """With the right checksum: damaged bytes would not come so far."""
        shutil.copy(folder / "good.pt", folder / "file")
        rewrite(folder / "file", {"archive/data.pkl": content})
        _told(load, folder / "file")

    with zipfile.ZipFile(folder / "good.pt") as archive:
        pickled = archive.read("archive/data.pkl")
    line = b"training.steps=3\nnetwork.depth=[0,1]\ndata.video=a b.mp4\nevidence=none\n-m\n--\nfile"
    return {
        "checkpoints": (of_a_file(load), [(folder / "good.pt").read_bytes()]),
        "pickles": (pickles, [pickled]),
        "settings": (of_a_file(read_saved), [to_yaml(TrainConfig()).encode()]),
        "words": (words, [line]),
    }


def _told(read: Callable[..., object], given: object) -> None:
    """Any other exception than one that is told ends the exploration, with the input in a file crash-..."""
    with suppress(*TOLD):
        read(given)
