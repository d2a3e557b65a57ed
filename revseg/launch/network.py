"""Makes a network that fits the memory, and what trains it."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

import torch

from revseg.config import TrainConfig
from revseg.forecast.fits import check_memory, without_cache_on_a_small_disk
from revseg.forecast.memory import forecast_run
from revseg.forecast.outline import Outline, outline_of
from revseg.forecast.sharing import check_parts
from revseg.launch.task import AnyTask
from revseg.network.network import RevSegNet, convolution_dtype_of
from revseg.parallel.group import ALONE, Group
from revseg.runs.folder import RunFolder
from revseg.tasks.dataset import DatasetTask
from revseg.training.budget import ARRANGEMENT, arrange
from revseg.training.checkpoint import Checkpoint, precision_of
from revseg.training.precision import choose_precision
from revseg.training.trainer import Trainer

LOG = logging.getLogger("revseg")


def as_the_machine_allows(config: TrainConfig, folder: RunFolder, device: torch.device, *, group: Group) -> TrainConfig:
    """Returns the settings, without a cache that the disk has no room for. Raises ValueError or OSError where the run does not
    fit, before its video is read."""
    outline = outline_of(config, labels=False)
    if outline is None:
        return config
    check_parts(config, outline)
    return without_cache_on_a_small_disk(config, check_memory(config, outline, device, processes=group.neighbours), folder.path)


def new_network(
    config: TrainConfig,
    task: AnyTask,
    saved: Checkpoint | None,
    *,
    device: torch.device,
    held: int,
    group: Group = ALONE,
) -> RevSegNet:
    """Returns a network with initial weights, arranged so that it fits the memory; tells the forecast of the whole process.

    held: bytes of the process as it began.
    """
    size, labelled_frames = task.largest()
    outline = outline_of(config, labels=False) if isinstance(task, DatasetTask) else Outline.of(task)
    assert outline is not None
    if size[0] < outline.footage.frames:
        LOG.warning(
            f"data.window={config.data.window}: the network sees {size[0]} of {outline.footage.frames} frames at a time, not "
            "all at once; what lies further apart it cannot connect"
        )
    asked = replace(config.network, classes=task.classes, in_channels=task.channels, evidence=task.sees_evidence)
    network, step = arrange(
        asked,
        size,
        labelled_frames=labelled_frames,
        training=config.training,
        device=device,
        saved=saved,
        group=group,
        shards=config.parallel.shards,
    )
    run = forecast_run(config, outline, network, device=device.type, held=held, threads=torch.get_num_threads())
    chosen = "".join(
        f", {name}={getattr(network, name)}" for name in ARRANGEMENT if getattr(network, name) != getattr(asked, name)
    )
    on_gpu = f", {run.device_peak / 1e9:.2f} GB of the GPU's" if run.device else ""
    LOG.info(
        f"forecast for {size[0]} frames of {size[2]} x {size[1]}: {run.peak / 1e9:.2f} GB of memory for the whole process, while "
        f"{run.phase}{on_gpu}; {step.total / 1e9:.2f} GB for a step of the network{chosen}"
    )
    if saved is None:
        precision = group.from_first(lambda: choose_precision(network, size, device))
    else:  # as it was begun
        precision = precision_of(saved, device) or convolution_dtype_of(network)
    torch.manual_seed(config.seed)
    net = RevSegNet(**asdict(network)).to(device)
    net.convolve_in_(precision)
    return net


def new_trainer(config: TrainConfig, task: AnyTask, folder: RunFolder, *, net: RevSegNet, group: Group = ALONE) -> Trainer:
    """Returns what takes the steps."""
    return Trainer(
        net,
        task,
        folder,
        config=config.training,
        augmentation=config.augment,
        seed=config.seed,
        height=config.data.height,
        recipe={
            "placements": config.placements,
            "window": config.data.window,
            "evidence": asdict(config.evidence),
            "scale": task.scale,
            "convolutions": {net.device.type: str(net.sequence.convolution_dtype).removeprefix("torch.")},
            "objects": None if task.objects is None else list(task.objects.ids),
            "names": None if task.objects is None else {str(number): name for number, name in task.objects.names.items()},
        },
        group=group,
    )
