"""revseg-predict: segment a video with a trained network.

    revseg-predict VIDEO [data.masks=DIR] [checkpoint=RUN] [output=DIR] [placements=8] [data.height=96]

VIDEO: a file, a folder of frames, a volume. Writes masks/00000.png, ... (palette PNG at the video's own size) and overlay.mp4, or
what else output.formats= names.
data.masks: of some of its frames, for a network that sees evidence; without them one that was trained on a dataset is shown
what moves by itself, and one that was trained on a single video predicts from the pictures alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from revseg.cli.main import predict as main
from revseg.cli.settings import covers, leaves, updated
from revseg.config import PredictConfig, PredictDataConfig
from revseg.device import choose_device
from revseg.evidence.cache import EvidenceCache
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
from revseg.segment.expectation import least_sure
from revseg.segment.segmenter import Segmenter
from revseg.tasks.measures import check_channels
from revseg.tasks.objects import Objects, trained_objects
from revseg.tasks.vanishing import vanishing
from revseg.training.checkpoint import Checkpoint, load, network_from
from revseg.video.read import probe

LOG = logging.getLogger("revseg")


def predict(config: PredictConfig, given: Collection[str] = ()) -> None:
    """Segments a video. given: settings and groups that were named; all others are as they were in the training."""
    device = choose_device(config.device)
    path = checkpoint_at(Path(config.checkpoint)) if config.checkpoint else newest_checkpoint(Path("runs"))
    checkpoint = load(path)
    config = as_trained(config, checkpoint, given)
    LOG.info(f"checkpoint: {path} (step {checkpoint.step})")
    net = network_from(checkpoint, device)
    if config.data.masks is not None and not net.config.evidence:
        raise ValueError(f"data.masks={config.data.masks} is of no use to {path}, whose network sees no evidence; leave it out")
    found = probe(config.data.video, config.data.axes, decoder=config.data.decoder)
    check_channels(config.data.video, found.channels, net.config.video_channels)
    output = Path(config.output.folder) if config.output.folder else Path("predictions") / name_of(Path(config.data.video))
    sha256 = digest_of(Path(config.data.video))
    check(output, Path(config.data.video), sha256, config=config.output)
    video = load_video(config.data, height_of_evidence(config.evidence, config.data.height, found.native_size[0]))
    objects = trained_objects(checkpoint).with_those_of([video])
    objects.check(video, net.config.outputs)
    for sentence in vanishing(video, config.data.height):
        LOG.warning(sentence)
    video = spread(objects.as_classes(video), config.evidence)
    with locked_output(output):
        with compiled_meanwhile(net.config, net.device):
            observed = observed_video(video, config, checkpoint, net=net, output=output)
        write(observed, config, checkpoint, objects=objects, net=net, output=output, path=path, sha256=sha256)


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
    known |= {"data.names": recipe.get("names") or None}
    names = {setting.key for setting in leaves(PredictConfig)}
    own = (
        ("placements", config.placements),
        ("data.height", config.data.height),
        ("data.scale", config.data.scale),
        ("data.names", config.data.names),
    )
    null = {name for name, value in own if value is None}
    return updated(config, {key: known[key] for key in known if key in null or (key in names and not covers(given, key))})


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings as one level: smoothing.sweeps -> 5."""
    found: dict[str, object] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def load_video(data: PredictDataConfig, height: int | None) -> Sample:
    """The video at a height, with the masks that are given."""
    load_it: Callable[..., Sample] = load_unlabelled
    if data.masks is not None:
        load_it = partial(load_own, masks=data.masks, encoding=data.encoding, conventions=data.conventions)
    given = {name: getattr(data, name) for name in ("max_frames", "on_error", "axes", "scale", "decoder")}
    return load_it(data.video, height=height, **given)


def observed_video(video: Sample, config: PredictConfig, checkpoint: Checkpoint, *, net: RevSegNet, output: Path) -> Observation:
    """The video with what is known of it."""
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


def write(
    observed: Observation,
    config: PredictConfig,
    checkpoint: Checkpoint,
    *,
    objects: Objects,
    net: RevSegNet,
    output: Path,
    path: Path,
    sha256: str,
) -> None:
    """Writes what the settings ask for and prediction.json into the output folder; says what to expect of it."""
    video, placements = observed.video, config.placements or 1
    # A network of many videos has learned from no label of this one: it counts as one that saw a single frame.
    segmenter = Segmenter(
        observed,
        config.evidence,
        label_count=checkpoint.label_count or 1,
        keeps_labels=True,
        keeps_probabilities=config.output.needs_probabilities,
    )
    note = {"checkpoint": str(path), "placements": placements, "height": video.height, "scale": video.scale}
    data = config.data
    source = Source.of(video, on_error=data.on_error, axes=data.axes, decoder=data.decoder, sha256=sha256)
    frames = (found._replace(mask=objects.as_ids(found.mask)) for found in segmenter.segment(net, placements))
    legend = objects.legend(net.config.outputs)
    expected = write_prediction(frames, source, output, legend=legend, labelled=observed.fixed, note=note, config=config.output)
    LOG.info(f"{len(video.frame_names)} frames: {', '.join(str(output / file_of(name)) for name in config.output.written)}")
    if net.config.evidence and (label_next := [video.frame_names[frame] for frame in least_sure(expected, observed.fixed)]):
        LOG.info(f"frames to label next, for data.masks=: {', '.join(label_next)}")


if __name__ == "__main__":
    main()
