"""revseg-train: train a network, evaluate it, segment what it is for.

    revseg-train data.video=my.mp4 data.masks=labels      one video, a few frames labelled: the recommended recipe
    revseg-train experiment=demo                          a film that it makes itself, no download
    revseg-train experiment=davis data.root=DAVIS         a dataset

It ends with report.html in the folder of the run. Watch it with: tensorboard --logdir runs. The same run_dir again resumes a run
that was stopped; where labels were added or corrected since, it trains a further round, in fewer steps. from=RUN does so in a
new folder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from revseg import storage
from revseg.cli.main import train as main
from revseg.cli.resume import absolute, as_begun, origin_of, other_way
from revseg.cli.settings import to_yaml
from revseg.config import TrainConfig
from revseg.device import held_memory, peak_memory
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.store import FlowStore
from revseg.forecast.outline import Outline
from revseg.forecast.sharing import shared_out
from revseg.forecast.times import Times, past_run
from revseg.forecast.work import work_of
from revseg.launch.network import as_the_machine_allows, new_network, new_trainer
from revseg.launch.task import AnyTask, evidence_store, inputs_read, open_task
from revseg.network.compilation import compiled_meanwhile
from revseg.network.memory import forecast_training
from revseg.network.network import RevSegNet
from revseg.output.report import Report, write_report
from revseg.parallel.agreement import check_alike, device_of
from revseg.parallel.group import Group, joined
from revseg.runs.folder import RunFolder, claim_new
from revseg.runs.lock import locked
from revseg.runs.phases import Phases, recorded
from revseg.runs.provenance import Provenance, command_line
from revseg.runs.watchdog import watched
from revseg.tasks.config import DataConfig
from revseg.tasks.dataset import DatasetTask
from revseg.tasks.one_video import OneVideo, VideoResult
from revseg.training.board import Board
from revseg.training.checkpoint import Checkpoint, load
from revseg.training.curves import losses
from revseg.training.inference import inference_of
from revseg.training.task import Result
from revseg.training.trainer import Trainer

LOG = logging.getLogger("revseg")


@dataclass(frozen=True)
class Begun:
    """A run as it begins, or goes on."""

    config: TrainConfig
    folder: RunFolder
    origin: RunFolder
    """The run that goes on: itself, or another."""
    sha256: str | None
    """Hash of the one video."""

    def saved(self) -> Checkpoint | None:
        """Returns the checkpoint that it goes on from; None where it begins."""
        return load(self.origin.last) if self.origin.last.exists() else None


def train(config: TrainConfig, given: Collection[str] | None = None) -> float | None:
    """Trains, evaluates and segments; returns J&F where truth is known, else the expected J.

    given: settings and groups that were named: a run that is resumed keeps all others. None: all were.
    In a process that torchrun or Slurm started with others, these train together; the first writes the run.
    """
    held, clock = held_memory(), time.perf_counter()
    with joined() as group:
        check_alike(group, config, free=frozenset({"run_dir", "verbosity"}))
        device = device_of(config.device, group)
        group.connect(device)
        work = partial(lead, config, given, clock=clock) if group.first else follow
        objective = work(group=group, device=device, held=held)
        return group.from_first(lambda: objective)


def lead(
    config: TrainConfig, given: Collection[str] | None, *, group: Group, device: torch.device, held: int, clock: float
) -> float | None:
    """Does the work of a process alone, or that of the first of several, which writes the run. clock: when it began."""
    with run_folder(config) as (folder, started), recorded() as phases, storage.kept_in(folder.path):
        config = shared_out(as_begun(absolute(config), folder, given), device, group)
        origin = origin_of(config, folder)
        with provenance(config, folder, device, origin=origin) as record, ExitStack() as finally_:
            finally_.enter_context(watched(config.training.watchdog, folder.log, group.tell))
            if not folder.config.exists():  # a run that is killed before its first step can be resumed too
                folder.write_config(to_yaml(config))
            fresh = not (origin.last.exists() or folder.evidence.exists())
            if origin is not folder and config.evidence.cache:
                folder.share_evidence(origin)
            config = as_the_machine_allows(config, folder, device, group=group)
            begun = group.from_first(lambda: Begun(config, folder, origin, sha256=record.inputs.video))
            store, cache = evidence_store(config, folder, device)
            finally_.callback(cache.finish)  # after an error, too: nothing is written any more where the folder is removed
            task, trainer = prepare(begun, store, cache, group=group, device=device, held=held)
            record.start(len(trainer.progress.rounds))
            folder.write_config(to_yaml(config))  # only now: settings that are refused must not replace those of the run
            started()
            verb = "resuming" if folder.last.exists() else "starting"
            LOG.info(f"{verb} {folder.path} on {device}{group.told()}, {trainer.progress}")
            with closing(Board(folder.tensorboard, trainer.progress.step, to_yaml(config))) as board:
                trainer.fit(board)
                result = trainer.with_others(partial(task.finish, trainer.net, folder.predictions))
                assert result is not None
                board.evaluation(trainer.progress.step, result.evaluation)
            if config.task == "one_video":  # of a dataset, no run sees all videos
                cache.forget_unused()
                store.forget_unused()
            metrics = report(trainer, result, folder, phases=phases)
            write_html(config, folder, result, metrics=metrics)
            if fresh and group.alone and isinstance(task, OneVideo) and config.training.evaluate_every is None:
                remember(config, task, trainer.net, phases=phases, seconds=time.perf_counter() - clock)
    return result.objective


def follow(*, group: Group, device: torch.device, held: int) -> None:
    """Does the work of another process: its share of the videos of every step, and of those that are measured."""
    begun: Begun = group.from_first()
    store, cache = evidence_store(begun.config, begun.folder, device, part=group.rank)
    watchdog = watched(begun.config.training.watchdog, None, group.tell)
    with watchdog, storage.kept_in(begun.folder.path), ExitStack() as finally_:
        finally_.callback(cache.finish)
        task, trainer = prepare(begun, store, cache, group=group, device=device, held=held)
        with closing(Board(None, trainer.progress.step, "")) as board:
            trainer.fit(board)
        trainer.with_others(partial(task.finish, trainer.net, begun.folder.predictions))


def prepare(
    begun: Begun, store: FlowStore, cache: EvidenceCache, *, group: Group, device: torch.device, held: int
) -> tuple[AnyTask, Trainer]:
    """Returns what is trained on, and what trains: from the beginning, or from where the run was."""
    config, folder, saved = begun.config, begun.folder, begun.saved()
    group.share_volumes(config.parallel.shards)
    # The kernels know no neighbours: where several hold a volume together, there is nothing to compile.
    compiled = compiled_meanwhile(config.network, device) if group.volume is None else nullcontext()
    with compiled:
        task = open_task(config, folder, saved, store=store, cache=cache, sha256=begun.sha256, group=group)
    if not isinstance(task, DatasetTask) and (shared := inference_of(group.volume, group.rank)) is not None:
        task = task.with_inference(shared.predict)
    if group.first:
        task.check_output(folder.predictions)
    net = new_network(config, task, saved, device=device, held=held, group=group)
    trainer = new_trainer(config, task, folder, net=net, group=group)
    if saved is not None:
        trainer.resume(saved, begun.origin.last, again=begun.origin != folder)
    return task, trainer


@contextmanager
def run_folder(config: TrainConfig) -> Iterator[tuple[RunFolder, Any]]:
    """Yields the folder of the run, locked, and a function to call once the run has started.

    The folder of a run that never started is removed, unless it was interrupted: then its evidence is of use to the next one.
    """
    path = Path(config.run_dir) if config.run_dir else claim_new(Path("runs")).path
    with locked(path, purpose="revseg-train"), ExitStack() as unless_it_starts:
        folder = RunFolder.create(path)
        if not folder.config.exists():
            unless_it_starts.push(folder.remove_after)
        yield folder, unless_it_starts.pop_all


@contextmanager
def provenance(config: TrainConfig, folder: RunFolder, device: torch.device, *, origin: RunFolder) -> Iterator[Provenance]:
    """Keeps run.json, and tells what changed since the run that goes on last read its inputs."""
    inputs = inputs_read(config)
    after = None if origin is folder else origin.run_json
    with Provenance(folder.run_json, inputs=inputs, device=str(device), seed=config.seed, after=after) as record:
        if record.changes.video and origin.last.exists():
            raise ValueError(
                f"{origin.path} was begun with another video than {inputs.path} is now; give that one, or "
                f"{other_way(origin, folder)}"
            )
        for sentence in record.changes.sentences():
            LOG.warning(f"{sentence}: what it says of the other frames is computed anew")
        yield record


def remember(config: TrainConfig, task: OneVideo, net: RevSegNet, *, phases: Phases, seconds: float) -> None:
    """Keeps how long a run took that found nothing ready, for the forecasts of revseg-plan."""
    outline = Outline.of(task)
    step = forecast_training(net.config, outline.seen_size(config.data), device=net.device.type)
    Times.of(net.device).keep(past_run(work_of(config, outline, net.config, step=step), phases.seconds, seconds))


def report(trainer: Trainer, result: Result, folder: RunFolder, *, phases: Phases) -> dict[str, Any]:
    """Writes and returns metrics.json, and says what came out."""
    progress, peak = trainer.progress, peak_memory(trainer.device)
    facts = {"steps": progress.step, "seconds": progress.seconds, "phases": phases.seconds, "peak_memory_bytes": peak}
    facts["rounds"] = progress.told()
    if trainer.net.sequence.grid.exact:
        facts["inverted_exactly"] = f"{progress.inverted} of {progress.step} steps"
        LOG.info(f"inverted exactly: {facts['inverted_exactly']}")
    metrics = {**result.metrics, **facts, "device": str(trainer.device)}
    folder.write_metrics(metrics)
    for name, value in result.metrics.items():
        if isinstance(value, float):
            LOG.info(f"{name:>10} {value:.3f}")
    if label_next := result.metrics.get("label_next"):
        LOG.info(f"frames to label next: {', '.join(label_next)}")
    LOG.info(f"{progress.seconds:.0f} s of training, peak memory {peak / 1e9:.2f} GB; all of it in {folder.path}")
    return metrics


def title_of(data: DataConfig) -> str:
    """What the run is about."""
    return ", ".join(Path(video).name for video in data.videos or [data.video or data.sequence or data.root or ""])


def write_html(config: TrainConfig, folder: RunFolder, result: Result, *, metrics: dict[str, Any]) -> None:
    """Writes report.html."""
    told = Report(
        title=title_of(config.data),
        about=f"{folder.path}: {metrics['steps']} steps on {metrics['device']}, {metrics['seconds']:.0f} s of training",
        metrics=metrics,
        losses=losses(folder.tensorboard),
        frames=result.frames if isinstance(result, VideoResult) else None,
        settings=to_yaml(config),
        command=command_line(),
    )
    write_report(folder.path / "report.html", told)


if __name__ == "__main__":
    main()
