"""revseg-predict: segment a video, or several, with a trained network.

    revseg-predict VIDEO [data.masks=DIR] [checkpoint=RUN] [output=DIR] [placements=8] [data.height=96]
    revseg-predict a.mp4 b.mp4 'clips/*.mp4'              each into its own folder
    revseg-predict VIDEO data.start=1:30 data.end=2:00    a part of it

VIDEO: a file, a folder of frames, a volume. Writes masks/00000.png, ... (palette PNG at the video's own size) and overlay.mp4, or
what else output.formats= names.
data.masks: of some of its frames, for a network that sees evidence; without them one that was trained on a dataset is shown
what moves by itself, and one that was trained on a single video predicts from the pictures alone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from revseg import storage
from revseg.cli.main import predict as main
from revseg.cli.sentences import TOLD, sentence
from revseg.cli.settings import covers, leaves, updated
from revseg.config import PredictConfig, PredictDataConfig
from revseg.device import choose_device
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.expectation import least_sure
from revseg.evidence.observation import Observation, height_of_evidence, observe
from revseg.evidence.store import FlowStore
from revseg.evidence.strokes import spread
from revseg.labels.dataset import load_own, load_unlabelled
from revseg.labels.sample import Sample
from revseg.network.compilation import compiled_meanwhile
from revseg.network.network import RevSegNet
from revseg.output.folder import check, name_of, write_prediction
from revseg.output.formats import file_of
from revseg.output.source import Source
from revseg.runs.folder import checkpoint_at, enclosing_run, newest_checkpoint
from revseg.runs.lock import locked
from revseg.runs.provenance import digest_of
from revseg.segmentation.segmenter import Segmenter
from revseg.tasks.measures import check_channels
from revseg.tasks.objects import Objects, trained_objects
from revseg.tasks.vanishing import vanishing
from revseg.tasks.videos import expanded, folders_of, is_pattern, labels_of
from revseg.training.checkpoint import Checkpoint, load, network_from
from revseg.video.read import probe

LOG = logging.getLogger("revseg")


def predict(config: PredictConfig, given: Collection[str] = ()) -> None:
    """Segments videos. given: settings and groups that were named; all others are as they were in the training."""
    device, data = choose_device(config.device), config.data
    path = checkpoint_at(Path(config.checkpoint)) if config.checkpoint else newest_checkpoint(Path("runs"))
    several = data.videos is not None or is_pattern(str(data.video))
    videos = expanded(data.videos or [str(data.video)]) if several else [Path(str(data.video))]
    checkpoint = load(path)
    config = as_trained(config, checkpoint, given)
    LOG.info(f"checkpoint: {path} (step {checkpoint.step})")
    trained = Trained(path, checkpoint, network_from(checkpoint, device))
    if data.masks is not None and not trained.net.config.evidence:
        raise ValueError(f"data.masks={data.masks} is of no use to {path}, whose network sees no evidence; leave it out")
    output = Path(config.output.folder) if config.output.folder else None
    if not several:
        segment(videos[0], config, trained, output=output or Path("predictions") / name_of(videos[0]))
        return
    jobs = {}
    for video, name in zip(videos, folders_of(videos), strict=True):
        labels = None if data.masks is None else str(labels_of(video, Path(data.masks), name))
        jobs[video] = replace(config, data=replace(config.data, masks=labels)), (output or Path("predictions")) / name
    each(jobs, trained)


def each(jobs: Mapping[Path, tuple[PredictConfig, Path]], trained: Trained) -> None:
    """Segments one video after the other. Raises ValueError at the end where some failed; a table says which."""
    told = {video: ("not begun", "") for video in jobs}
    try:
        for number, (video, (config, output)) in enumerate(jobs.items(), 1):
            LOG.info(f"video {number} of {len(jobs)}: {video}")
            told[video] = "stopped", ""
            try:
                segment(video, config, trained, output=output)
                told[video] = "done", str(output)
            except KeyboardInterrupt:
                raise
            except TOLD as error:
                if (text := sentence(error, [])) is None:
                    raise
                LOG.warning(f"{video}: {text}")
                told[video] = "failed", text
    finally:
        width = max(len(str(video)) for video in jobs)
        lines = [f"{str(video):{width}}  {state:9}  {more}".rstrip() for video, (state, more) in told.items()]
        LOG.info("\n".join(["", *lines]))
    if failed := [str(video) for video, (state, _) in told.items() if state == "failed"]:
        raise ValueError(f"{len(failed)} of {len(jobs)} videos failed: {', '.join(failed)}")


@dataclass(frozen=True)
class Trained:
    """What masks are made with."""

    path: Path
    checkpoint: Checkpoint
    net: RevSegNet


def segment(path: Path, config: PredictConfig, trained: Trained, *, output: Path) -> None:
    """Segments one video into a folder."""
    with storage.kept_in(output):
        _segment(path, config, trained, output=output)


def _segment(path: Path, config: PredictConfig, trained: Trained, *, output: Path) -> None:
    net, data = trained.net, config.data
    found = probe(path, data.reading)
    check_channels(path, found.channels, net.config.video_channels)
    sha256 = digest_of(path)
    check(output, path, sha256, config=config.output)
    video = load_video(path, data, height_of_evidence(config.evidence, data.height, found.native_size[0]))
    objects = trained_objects(trained.checkpoint).with_those_of([video])
    objects.check(video, net.config.outputs)
    for told in vanishing(video, data.height):
        LOG.warning(told)
    video = spread(objects.as_classes(video), config.evidence)
    with locked_output(output):
        with compiled_meanwhile(net.config, net.device):
            observed = observed_video(video, config, trained, output=output)
        write(observed, config, trained, objects=objects, output=output, sha256=sha256)


@contextmanager
def locked_output(output: Path) -> Iterator[None]:
    """Keeps others out of the folder of the prediction, and out of the run that it lies in."""
    with ExitStack() as held:
        for folder in filter(None, (enclosing_run(output), output)):
            held.enter_context(locked(folder, purpose="revseg-predict", setting="output"))
        yield


def as_trained(config: PredictConfig, checkpoint: Checkpoint, given: Collection[str]) -> PredictConfig:
    """The settings, those that are not given taken from the training."""
    recipe = checkpoint.recipe
    known = {f"evidence.{key}": value for key, value in flat(recipe.get("evidence", {})).items()}
    known |= {"placements": recipe.get("placements", 1), "data.height": checkpoint.height, "data.scale": recipe.get("scale")}
    known |= {"data.names": recipe.get("names") or None, "data.window": recipe.get("window")}
    names = {setting.key for setting in leaves(PredictConfig)}
    own = (
        ("placements", config.placements),
        ("data.height", config.data.height),
        ("data.scale", config.data.scale),
        ("data.names", config.data.names),
        ("data.window", config.data.window),
    )
    null = {name for name, value in own if value is None}
    return updated(config, {key: known[key] for key in known if key in null or (key in names and not covers(given, key))})


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings as one level: smoothing.sweeps -> 5."""
    found: dict[str, object] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def load_video(path: Path, data: PredictDataConfig, height: int | None) -> Sample:
    """The video at a height, with the masks that are given."""
    if data.masks is None:
        return load_unlabelled(path, height=height, reading=data.reading)
    told = data.conventions
    return load_own(path, data.masks, told.encoding, height=height, reading=data.reading, conventions=told)


def observed_video(video: Sample, config: PredictConfig, trained: Trained, *, output: Path) -> Observation:
    """The video with what is known of it."""
    net, checkpoint = trained.net, trained.checkpoint
    evidence = config.evidence if net.config.evidence else replace(config.evidence, source="none")
    return observe(
        video,
        height=config.data.height,
        classes=net.config.outputs,
        config=evidence,
        store=FlowStore(output, keep=False, device=net.device),
        cache=EvidenceCache(None),
        unlabelled="motion" if checkpoint.label_count is None else "nothing",
    )


def write(observed: Observation, config: PredictConfig, trained: Trained, *, objects: Objects, output: Path, sha256: str) -> None:
    """Writes what the settings ask for and prediction.json into the output folder; says what to expect of it."""
    video, placements, net = observed.video, config.placements or 1, trained.net
    # A network of many videos has learned from no label of this one: it counts as one that saw a single frame.
    segmenter = Segmenter(
        observed,
        config.evidence,
        label_count=trained.checkpoint.label_count or 1,
        keeps_labels=True,
        keeps_probabilities=config.output.needs_probabilities,
        window=config.data.window,
    )
    note = {"checkpoint": str(trained.path), "placements": placements, "height": video.height, "scale": video.scale}
    note |= {"window": config.data.window, **config.data.told}
    source = Source.of(video, config.data.reading, sha256=sha256)
    frames = (found._replace(mask=objects.as_ids(found.mask)) for found in segmenter.segment(net, placements))
    legend = objects.legend(net.config.outputs)
    expected = write_prediction(frames, source, output, legend=legend, labelled=observed.fixed, note=note, config=config.output)
    LOG.info(f"{len(video.frame_names)} frames: {', '.join(str(output / file_of(name)) for name in config.output.written)}")
    if net.config.evidence and (label_next := [video.frame_names[frame] for frame in least_sure(expected, observed.fixed)]):
        LOG.info(f"frames to label next, for data.masks=: {', '.join(label_next)}")


if __name__ == "__main__":
    main()
