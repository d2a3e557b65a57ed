"""revseg-predict: segment a video with a trained network.

    revseg-predict VIDEO [masks=DIR] [checkpoint=RUN] [output=DIR] [offsets=8] [height=96]

VIDEO: a file, or a folder of frames. Writes masks/00000.png, ... (palette PNG at the video's own size), and
overlay.mp4. masks: of some of its frames, for a guided network; without them one that was trained on a dataset is shown
what moves by itself, and one that was trained on a single video predicts from the pictures alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from revseg.cli.main import run
from revseg.device import choose_device
from revseg.evidence.carry import propagate
from revseg.evidence.evidence import resize_evidence
from revseg.evidence.flow import Flow, flow_height
from revseg.evidence.motion import motion_evidence
from revseg.evidence.smoothing import SWEEPS, Smoothing
from revseg.labels.dataset import load_own
from revseg.labels.sample import Sample
from revseg.network.compilation import compiled_meanwhile
from revseg.network.network import RevSegNet
from revseg.output.folder import Source, claim, write_prediction
from revseg.runs.folder import checkpoint_at, newest_checkpoint
from revseg.segment.expectation import least_sure
from revseg.segment.segmenter import Guide, segment
from revseg.tasks.measures import check_classes
from revseg.training.checkpoint import Checkpoint, load, network_from
from revseg.video.read import Video, read_video


@dataclass(frozen=True)
class PredictConfig:
    video: str = "???"
    """The video: a file, or a folder of JPEG or PNG frames; may be given without video=."""
    masks: str | None = None
    """Folder with masks of some frames, 00012.png labels frame 12; null: none are known."""
    encoding: str = "davis2017"
    """Of masks: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void)."""
    checkpoint: str | None = None
    """What to segment with: a file, or the folder of a run; null: that of the newest run in runs/."""
    output: str | None = None
    """Folder for masks/ and overlay.mp4; null: predictions/ and the video's name."""
    height: int | None = None
    """Height that the frames are resized to for the network; null: that of the training."""
    offsets: int = 1
    """Placements on the network's grid that are averaged over; 4 or 8 are a little better, and as many times
    slower."""
    smoothing: int = SWEEPS
    """Sweeps that make the predictions of neighbouring frames agree along optical flow; 0: none."""
    max_frames: int | None = None
    """Only the first frames; null: all."""
    on_error: str = "stop"
    """At a frame that cannot be decoded: stop, or skip it."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""

    def __post_init__(self) -> None:
        for name in ("height", "offsets", "max_frames"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; give a positive number")
        if self.smoothing < 0:
            raise ValueError(f"smoothing is {self.smoothing}; give 0 or more")


def predict(config: PredictConfig) -> None:
    device = choose_device(config.device)
    path = checkpoint_at(Path(config.checkpoint)) if config.checkpoint else newest_checkpoint(Path("runs"))
    checkpoint = load(path)
    print(f"checkpoint: {path} (step {checkpoint.step})")
    height = config.height or checkpoint.height
    video = read_video(config.video, height=height, max_frames=config.max_frames, on_error=config.on_error)
    net = network_from(checkpoint, device)
    if config.masks is not None and not net.config.guided:
        raise ValueError(f"masks={config.masks} is of no use to {path}, trained with network.guided=false; leave it out")
    output = Path(config.output) if config.output else Path("predictions") / Path(config.video).stem
    labelled = load_labelled(config, net, video)
    claim(output, Path(config.video))
    with compiled_meanwhile(net.config, net.device):
        flow = Flow(pictures_of(config, video, labelled), output) if config.smoothing or net.config.guided else None
        guide = None if labelled is None else guide_of(labelled, flow, checkpoint, video)
        volume = video.volume
        if flow is not None and net.config.guided:
            volume = torch.cat([volume, evidence_of(checkpoint, guide, flow, video)])
    fixed = () if labelled is None else labelled.labelled_frames
    smoothing = Smoothing(flow, fixed, config.smoothing) if flow is not None and config.smoothing else None
    frames = segment(net, volume, video.native_size, config.offsets, guide, smoothing)
    note = {"checkpoint": str(path), "offsets": config.offsets, "height": video.volume.shape[2], "smoothing": config.smoothing}
    source = Source(Path(config.video), video.frame_rate, video.names, config.on_error)
    expected = write_prediction(frames, source, output, note)
    print(f"{len(video.names)} frames: {output / 'masks'}, {output / 'overlay.mp4'}")
    if net.config.guided and (label_next := [video.names[frame] for frame in least_sure(expected, fixed)]):
        print(f"frames to label next, for masks=: {', '.join(label_next)}")


def load_labelled(config: PredictConfig, net: RevSegNet, video: Video) -> Sample | None:
    """The video with the masks that are given, at the size at which they are carried along; None without masks."""
    if config.masks is None:
        return None
    labelled = load_own(config.video, config.masks, config.encoding, height_of_flow(video), config.max_frames, config.on_error)
    check_classes(labelled, net.config.classes)
    return labelled


def guide_of(labelled: Sample, flow: Flow | None, checkpoint: Checkpoint, video: Video) -> Guide:
    evidence = propagate(labelled, checkpoint.network.classes, flow=flow).evidence
    # A network of many videos has learned from no label of this one: it counts as one that saw a single frame.
    return Guide(evidence, labelled.labelled_frames, checkpoint.label_count or 1, size_of(video))


def evidence_of(checkpoint: Checkpoint, guide: Guide | None, flow: Flow, video: Video) -> Tensor:
    """What a guided network is shown beside the pictures."""
    classes = checkpoint.network.classes
    if guide is not None:
        return resize_evidence(guide.evidence, size_of(video))
    if checkpoint.label_count is None:
        return resize_evidence(motion_evidence(flow, classes), size_of(video))
    return video.volume.new_zeros(classes + 1, *video.volume.shape[1:])  # nothing is known of any pixel


def pictures_of(config: PredictConfig, video: Video, labelled: Sample | None) -> Tensor:
    """At the size at which flow is computed."""
    if labelled is not None:
        return labelled.volume
    if height_of_flow(video) == video.volume.shape[2]:
        return video.volume
    return read_video(config.video, height=height_of_flow(video), max_frames=config.max_frames, on_error=config.on_error).volume


def size_of(video: Video) -> tuple[int, int]:
    return video.volume.shape[2], video.volume.shape[3]


def height_of_flow(video: Video) -> int:
    return flow_height(video.volume.shape[2], video.native_size[0])


def main() -> None:
    run(predict, config="predict", positional="video")


if __name__ == "__main__":
    main()
