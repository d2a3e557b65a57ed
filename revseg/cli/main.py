"""The commands: Hydra's command line, with words as they are typed, errors in one sentence, and a folder for every run.

Nothing here imports PyTorch: --help and completion answer at once.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from revseg.cli.command import Command, configs_folder
from revseg.cli.composition import Composition, without_hydra
from revseg.cli.help import usage
from revseg.cli.job import Job, Stopped
from revseg.cli.logs import logging_restored
from revseg.cli.openmp import sleep_early
from revseg.cli.sentences import TOLD, in_words, sentence, status, tell
from revseg.cli.settings import instance, leaves
from revseg.cli.words import Translation, Words, quoted, read_words
from revseg.parallel.place import place_of
from revseg.runs.folder import RunFolder, claim_new
from revseg.runs.heap import one_heap
from revseg.runs.interruption import Interrupted, raised
from revseg.runs.lock import locked

TRAIN = Command("train", schema="revseg.config:TrainConfig", function="revseg.train:train", folder="run_dir", keeps_runs=True)
PREDICT = Command(
    "predict",
    schema="revseg.config:PredictConfig",
    function="revseg.predict:predict",
    positional="data.video",
    several="data.videos",
    folder="output.folder",
)
EVALUATE = Command("evaluate", schema="revseg.config:EvaluateConfig", function="revseg.evaluate:evaluate", folder="output")
PLAN = Command("plan", schema="revseg.config:TrainConfig", function="revseg.plan:plan", positional="data.video")
LABEL = Command("label", schema="revseg.config:LabelConfig", function="revseg.label:label", positional="data.video")
RUNS_LISTED = Command("runs", schema="revseg.config:RunsConfig", function="revseg.overview:list_runs", positional="folder")

COMMANDS = {command.name: command for command in (TRAIN, PREDICT, EVALUATE, PLAN, LABEL, RUNS_LISTED)}

RUNS = "runs/${now:%Y-%m-%d_%H-%M-%S}"
"""hydra.run.dir of configs/train.yaml: who leaves it gets a new folder that no other process has."""


def train() -> None:
    """revseg-train."""
    start(TRAIN)


def predict() -> None:
    """revseg-predict."""
    start(PREDICT)


def evaluate() -> None:
    """revseg-evaluate."""
    start(EVALUATE)


def plan() -> None:
    """revseg-plan."""
    start(PLAN)


def label() -> None:
    """revseg-label."""
    start(LABEL)


def runs() -> None:
    """revseg-runs."""
    start(RUNS_LISTED)


def start(command: Command) -> None:
    """Does what the command line asks; ends the process with a sentence and a status where that is impossible."""
    traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    arguments = sys.argv[1:]
    one_heap()
    try:
        words = read_words(arguments)
        with logging_restored(), signals_raised(command), together(command, words) as rank:
            _start(command, words, traceback, rank=rank)
    except Stopped as stop:
        _end(stop.error, arguments)
    except TOLD as error:
        if traceback or sentence(error, arguments) is None:
            raise
        _end(error, arguments)


@contextmanager
def signals_raised(command: Command) -> Iterator[None]:
    """Lets every signal end a command that writes files as Ctrl-C does: what is half-written is removed."""
    if command.folder is None:
        yield
        return
    with raised(_why_ended):
        yield


def _why_ended() -> BaseException | None:
    """Returns why the other processes of a run have ended, where that is the reason of a signal."""
    group = sys.modules.get("revseg.parallel.group")
    return None if group is None else group.current().ended()


@contextmanager
def together(command: Command, words: Words) -> Iterator[int]:
    """Joins the processes that a launcher started together; yields the rank of this one, 0 where it is alone."""
    place = None if asks_only(words) else place_of(os.environ)
    if place is None:
        yield 0
        return
    if not command.keeps_runs or words.sweeps:
        what = "a sweep" if command.keeps_runs else program()
        raise ValueError(
            f"{what} works in one process, but the environment says that {place.world} were started together; start one alone"
        )
    sleep_early()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # what PyTorch says of broken connections is told in one sentence
    from revseg.parallel.group import joined

    def describe(error: BaseException) -> tuple[str, int] | None:
        return in_words(error.error if isinstance(error, Stopped) else error, list(words.words))

    with joined(describe) as group:
        yield group.rank


def asks_only(words: Words) -> bool:
    """Whether a command line asks for help, settings and the like alone, and starts nothing."""
    flags = words.flags
    return any((flags.version, flags.help, flags.hydra_help, flags.cfg, flags.info, flags.shell_completion))


def _end(error: BaseException, arguments: list[str]) -> None:
    if isinstance(error, BrokenPipeError):  # who reads the output has enough of it: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to be flushed goes nowhere
        sys.exit(128 + signal.SIGPIPE)
    ended = _ended(error)
    if ended is not None and ended.tells:
        tell(str(ended))
    if ended is not None:
        sys.exit(ended.ending.status)
    more = f"; to go on: {program()} {shlex.join([f'run_dir={error.run_dir}'])}" if isinstance(error, Interrupted) else ""
    tell(f"{sentence(error, arguments)}{more}")
    sys.exit(status(error))


def _ended(error: BaseException) -> Any:
    """Returns an error that ended all processes of a run as such; None where it is another."""
    group = sys.modules.get("revseg.parallel.group")
    return error if group is not None and isinstance(error, group.Ended) else None


def _start(command: Command, words: Words, traceback: bool, *, rank: int = 0) -> None:
    flags = words.flags
    if flags.version:
        from importlib.metadata import version  # only here: it is slow

        print(f"revseg {version('revseg')}, PyTorch {version('torch')}, Hydra {version('hydra-core')}")
        return
    composition = Composition(command, flags)
    flags.config_path = str(composition.main) if flags.config_path else None  # from the working directory, not from this file
    job = Job(command, traceback)
    if flags.help or flags.hydra_help or flags.cfg or flags.info:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it without a word
    os.environ.setdefault("COMP_LINE", program())  # the line to complete; shells give it
    if flags.hydra_help or flags.shell_completion:
        _hydra(job, words.for_hydra(words.words))
        return
    known = {leaf.key: leaf for leaf in leaves(command.settings())}
    translation = Translation(known, composition.groups, command.positional, several=command.several)
    overrides = translation.overrides(words)
    if flags.help:
        print(usage(program(), command, composition, overrides=overrides))
    elif words.sweeps or flags.cfg or flags.info or flags.experimental_rerun or flags.resolve:
        _check_sweep(command, words, overrides)
        _hydra(job, words.for_hydra(overrides))
    else:
        tree = composition.compose(overrides)
        instance(without_hydra(tree), command.settings())  # before there is any folder
        if command.folder is None or rank:
            job.directly(tree, overrides, rank)
            return
        with _folder(command, tree) as more:
            _hydra(job, words.for_hydra([*overrides, *more]))


def _check_sweep(command: Command, words: Words, overrides: list[str]) -> None:
    setting = command.folder
    if words.sweeps and command.keeps_runs and any(override.lstrip("+").startswith(f"{setting}=") for override in overrides):
        raise ValueError(f"{setting} is the folder of one run; with -m give hydra.sweep.dir=, each job has a folder in it")


@contextmanager
def _folder(command: Command, tree: DictConfig) -> Iterator[list[str]]:
    """The overrides that put Hydra's files into the folder of the run, new or resumed."""
    if not command.keeps_runs or tree.hydra.mode == RunMode.MULTIRUN:
        yield []
        return
    run_dir = OmegaConf.select(tree, str(command.folder))
    chosen = OmegaConf.to_container(tree.hydra.run, resolve=False)["dir"] != RUNS  # type: ignore[index, call-overload]
    if chosen and run_dir and Path(run_dir) != Path(tree.hydra.run.dir):
        raise ValueError(f"{command.folder}={run_dir} and hydra.run.dir={tree.hydra.run.dir} are two folders; give one of them")
    claimed = None if chosen or run_dir else claim_new(Path("runs"))
    folder = RunFolder(Path(run_dir or (claimed.path if claimed else tree.hydra.run.dir)))
    if "${" in str(folder.path.absolute()):
        raise ValueError(f"{folder.path} has ${{ in its name, which Hydra cannot work in; choose another folder with run_dir=")
    made = _make(folder.path) or claimed is not None
    with locked(folder.path, purpose=program()):  # free? Hydra writes into it before the run takes the lock
        pass
    try:
        yield [f"hydra.run.dir={quoted(str(folder.path))}", *_beside_the_first(folder, tree)]
    except BaseException as error:
        if made:
            folder.remove_unused()
        if isinstance(error, OSError) and error.errno and not error.filename:  # of Hydra's files
            sentence = f"cannot write {folder.path}: {error.strerror}; free space there, or choose another folder with run_dir="
            raise OSError(sentence) from error
        raise


def _make(path: Path) -> bool:
    """Makes a folder; says whether it was missing."""
    missing = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; choose another folder with run_dir=") from error
    return missing


def _beside_the_first(folder: RunFolder, tree: DictConfig) -> list[str]:
    """Hydra's files of a run that is resumed stand beside those of its start, which stay."""
    subdir = tree.hydra.output_subdir
    if subdir is None or not folder.config.exists():
        return []
    number = 1
    while (folder.path / subdir / f"resumed-{number}").exists():
        number += 1
    return [f"hydra.output_subdir={quoted(f'{subdir}/resumed-{number}')}"]


def _hydra(job: Job, arguments: list[str]) -> None:
    before, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [before[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes errors on; the sentences are ours
    main: Any = hydra.main(version_base="1.3", config_path=str(configs_folder().resolve()), config_name=job.command.name)
    try:
        main(job)()
    finally:
        sys.argv = before
        os.environ.pop("HYDRA_FULL_ERROR")
        if full is not None:
            os.environ["HYDRA_FULL_ERROR"] = full


def program() -> str:
    """The command as it is typed: revseg-train, or python -m revseg.train."""
    path = Path(sys.argv[0])
    return path.name if path.suffix != ".py" else f"python -m revseg.{path.stem}"
