"""The kinds of cases: something that is damaged, and the command line that reads it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzzing import checkpoints
from fuzzing.healthy import IMAGES, Healthy
from fuzzing.mutations import NUMBERS, WORDS, damaged, disturbed, edited

NETWORK = ["network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4"]
SHORT = [*NETWORK, "device=cpu", "training.steps=1", "placements=1", "data.height=null", "run_dir=run"]
QUICK = [*SHORT, "evidence=none"]
TEXTS = (".json", ".xml", ".txt", ".yaml")


@dataclass(frozen=True)
class Line:
    """A command line, to be typed in the folder of its case."""

    command: str
    arguments: list[str]


Kind = Callable[[Healthy, Path, Random], Line]


def copy(source: Path, folder: Path, name: str | None = None) -> Path:
    """Copies a file or a folder into that of a case; returns its place."""
    target = folder / (name or source.name)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
    return target


def damage(path: Path, random: Random) -> None:
    path.write_bytes(damaged(path.read_bytes(), random))


def prediction(healthy: Healthy, folder: Path, video: str, random: Random) -> Line:
    copy(healthy / "checkpoint.pt", folder)
    more = ["data.on_error=skip"] if random.random() < 0.5 else []
    return Line("predict", [video, "checkpoint=checkpoint.pt", "output=out", "device=cpu", *more])


def video(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A video file with damaged bytes."""
    source = random.choice(healthy.videos)
    damage(copy(source, folder), random)
    return prediction(healthy, folder, source.name, random)


def frames(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A folder of frames in which something is not as it was."""
    disturbed(copy(healthy / f"frames-{random.choice(IMAGES)}", folder, "frames"), random)
    return prediction(healthy, folder, "frames", random)


def volume(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A volume, and labels in a volume."""
    ending = random.choice(("npy", "tif"))
    files = [copy(healthy / f"{name}.{ending}", folder) for name in ("volume", "labels")]
    damage(random.choice(files), random)
    return Line("train", [f"data.video=volume.{ending}", f"data.masks=labels.{ending}", *QUICK])


def masks(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A folder of masks in which something is not as it was; sometimes they are carried along optical flow."""
    copy(healthy / "frames-png", folder, "frames")
    disturbed(copy(healthy / "some masks", folder, "masks"), random)
    return Line("train", ["data.video=frames", "data.masks=masks", *(SHORT if random.random() < 0.2 else QUICK)])


def labels_of_tools(healthy: Healthy, folder: Path, random: Random) -> Line:
    """Labels of an annotation tool: text that is edited, archives and mattes with damaged bytes, folders that are disturbed."""
    copy(healthy / "tools" / "frames", folder)
    source = random.choice(sorted(path for path in (healthy / "tools").iterdir() if path.name != "frames"))
    labels = copy(source, folder)
    if labels.is_dir() and random.random() < 0.4:
        disturbed(labels, random)
    else:
        file = random.choice(sorted(path for path in labels.rglob("*") if path.is_file())) if labels.is_dir() else labels
        if file.suffix in TEXTS and random.random() < 0.7:
            file.write_text(edited(file.read_text(encoding="utf-8"), random), encoding="utf-8")
        else:
            damage(file, random)
    more = [f"data.names=[{random.choice(WORDS)},cat]"] if random.random() < 0.1 else []
    return Line("train", ["data.video=frames", f"data.masks={labels.name}", *more, *QUICK])


def checkpoint(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A checkpoint with damaged bytes, or with wrong content and right checksums."""
    line = prediction(healthy, folder, "frames", random)
    copy(healthy / "frames-png", folder, "frames")
    (damage if random.random() < 0.3 else checkpoints.changed)(folder / "checkpoint.pt", random)
    return line


def resumed(healthy: Healthy, folder: Path, random: Random) -> Line:
    """The folder of a run in which something is not as it was."""
    run = copy(healthy / "run", folder)
    copy(healthy / "frames-png", folder, "frames")
    copy(healthy / "some masks", folder, "masks")
    text = random.choice((run / "config.yaml", run / "config.yaml", run / "run.json", run / ".hydra" / "hydra.yaml", None))
    if text is None:
        checkpoints.changed(run / "checkpoints" / "last.pt", random)
    elif random.random() < 0.2:
        damage(text, random)
    else:
        text.write_text(edited(text.read_text(), random))
    return Line("train", ["run_dir=run", "data.video=frames", "data.masks=masks", "training.steps=2", "experiment=few_frames"])


def settings(healthy: Healthy, folder: Path, random: Random) -> Line:
    """Settings with wrong names and values."""
    from revseg.cli.main import COMMANDS
    from revseg.cli.settings import leaves

    command = random.choice(("train", "train", "predict", "plan", "evaluate"))
    line = {
        "train": Line("train", ["data.video=frames", "data.masks=masks", *QUICK]),
        "plan": Line("plan", ["frames", "data.masks=masks", *QUICK]),
        "predict": prediction(healthy, folder, "frames", random),
        "evaluate": Line("evaluate", ["prediction=prediction", "annotation=annotation", "output=out"]),
    }[command]
    for source, name in (("frames-png", "frames"), ("some masks", "masks"), ("prediction", None), ("annotation", None)):
        copy(healthy / source, folder, name)
    keys = [setting.key for setting in leaves(COMMANDS[command].settings())]
    for _ in range(random.choice((1, 1, 2))):
        # Where the run writes is the user's will, and so is how much: those have values of their own.
        key = random.choice([key for key in keys if key not in ("run_dir", "output", "training.steps", "placements")])
        word = f"{key}={random.choice(NUMBERS + WORDS)}"
        line.arguments.append(random.choice((*(word,) * 6, edited(word, random).strip("\n"), f"++{word}")))
    return Line(line.command, [argument.replace("\0", "") for argument in line.arguments])


def experiment(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A configuration file of the user's own that is not as it should be."""
    copy(healthy / "frames-png", folder, "frames")
    copy(healthy / "some masks", folder, "masks")
    own = folder / "own" / "experiment" / "mine.yaml"
    own.parent.mkdir(parents=True)
    text = "# @package _global_\ntask: one_video\nplacements: 1\nevidence:\n  source: none\ntraining:\n  steps: 1\n"
    own.write_text(edited(text, random))
    return Line("train", ["--config-dir=own", "experiment=mine", "data.video=frames", "data.masks=masks", *QUICK])


def names(healthy: Healthy, folder: Path, random: Random) -> Line:
    """Lists of sequences, of a data set or of what is to be evaluated."""
    if random.random() < 0.5:
        root = copy(healthy / "davis", folder)
        file = root / "ImageSets" / "2017" / f"{random.choice(('train', 'val'))}.txt"
        line = Line("train", ["experiment=davis", f"data.root={root.name}", "data.year=2017", *QUICK])
    else:
        file = copy(healthy / "annotation", folder) / "names.txt"
        copy(healthy / "prediction", folder)
        line = Line("evaluate", ["prediction=prediction", "annotation=annotation", f"split=annotation/{file.name}", "output=out"])
    file.write_bytes(damaged(file.read_bytes(), random) if random.random() < 0.3 else edited(file.read_text(), random).encode())
    return line


def dataset(healthy: Healthy, folder: Path, random: Random) -> Line:
    """A data set in which something is not as it was."""
    disturbed(copy(healthy / "davis", folder), random)
    return Line("train", ["experiment=davis", "data.root=davis", "data.year=2017", *QUICK])


def evaluated(healthy: Healthy, folder: Path, random: Random) -> Line:
    """Predictions and annotations in which something is not as it was."""
    folders = [copy(healthy / name, folder) for name in ("prediction", "annotation")]
    disturbed(random.choice(folders), random)
    return Line("evaluate", ["prediction=prediction", "annotation=annotation", "output=out"])


KINDS: dict[str, tuple[Kind, int]] = {
    "videos": (video, 6),
    "frames": (frames, 2),
    "volumes": (volume, 2),
    "masks": (masks, 3),
    "labels of tools": (labels_of_tools, 4),
    "checkpoints": (checkpoint, 4),
    "runs": (resumed, 3),
    "settings": (settings, 4),
    "configurations": (experiment, 1),
    "lists": (names, 2),
    "data sets": (dataset, 1),
    "evaluations": (evaluated, 2),
}
"""Name -> how a case is made, and how many of thirty-four are of the kind."""
