"""Small inputs of every kind, all of them good; cases are damaged copies of these."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
from harness import ROOT
from numpy.typing import NDArray
from PIL import Image

FRAMES, HEIGHT, WIDTH = 6, 64, 96

VIDEOS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "h265.mp4": ("libx265", "yuv420p"),
    "av1.mp4": ("libsvtav1", "yuv420p"),
    "h264.mov": ("libx264", "yuv420p"),
    "prores.mov": ("prores", "yuv422p10le"),
    "h264.mkv": ("libx264", "yuv444p"),
    "ffv1.mkv": ("ffv1", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "huffyuv.avi": ("huffyuv", "yuv422p"),
    "h264.ts": ("libx264", "yuv420p"),
    "mpeg2.ts": ("mpeg2video", "yuv420p"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p"),
    "vp8.webm": ("libvpx", "yuv420p"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "flash.flv": ("flv", "yuv420p"),
    "windows.wmv": ("wmv2", "yuv420p"),
    "h264.3gp": ("libx264", "yuv420p"),
    "mpeg2.mxf": ("mpeg2video", "yuv422p"),
    "raw.nut": ("rawvideo", "yuv420p"),
    "animation.gif": ("gif", "rgb8"),
    "animation.apng": ("apng", "rgb24"),
    "raw.y4m": ("rawvideo", "yuv420p"),
}
"""File -> encoder and pixel format: the containers that FFmpeg writes here."""

IMAGES = ("jpg", "png")
TOOLS = ROOT / "tests" / "data" / "formats"
"""Labels as tools write them, of frames of (24, 32) pixels."""
TOOLS_SIZE = (24, 32)


@dataclass(frozen=True)
class Healthy:
    """The folder that they lie in."""

    folder: Path

    @property
    def videos(self) -> list[Path]:
        return sorted((self.folder / "videos").iterdir())

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def scene() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Frames (T, H, W, 3) and masks (T, H, W): a bright square with a corner of another object runs over noise."""
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 60, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    for index in range(FRAMES):
        at = index, slice(8, 24), slice(6 + 3 * index, 22 + 3 * index)
        frames[at], masks[at] = (220, 160, 90), 1
        masks[index, 20:24, 6 + 3 * index : 12 + 3 * index] = 2
    return frames, masks


def write(folder: Path) -> Healthy:
    """Writes all of them."""
    frames, masks = scene()
    (folder / "videos").mkdir(parents=True)
    for name, (codec, pixel_format) in VIDEOS.items():
        if codec in av.codecs_available:
            encode(folder / "videos" / name, frames, codec, pixel_format=pixel_format)
    for ending in IMAGES:
        write_images(folder / f"frames-{ending}", frames, ending)
    write_masks(folder / "masks", masks)
    write_masks(folder / "some masks", masks, (0, 3, 5))
    np.save(folder / "volume.npy", frames[..., 0].astype(np.uint16) * 200)
    np.save(folder / "labels.npy", masks)
    for name, volume in (("volume", frames[..., 0]), ("labels", masks)):
        pages = [Image.fromarray(page) for page in volume]
        pages[0].save(folder / f"{name}.tif", save_all=True, append_images=pages[1:])
    _write_dataset(folder / "davis", frames, masks)
    _write_labels_of_tools(folder / "tools", frames, masks)
    for name in ("one", "two"):
        write_masks(folder / "annotation" / name, masks)
        write_masks(folder / "prediction" / name, np.roll(masks, 1, axis=2))
    (folder / "annotation" / "names.txt").write_text("one\ntwo\n")
    write_checkpoint(folder / "checkpoint.pt")
    return Healthy(folder)


def encode(path: Path, frames: NDArray[np.uint8], codec: str, *, pixel_format: str) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        for pixels in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    if codec == "libsvtav1":  # as root it makes a real-time process of this one, for which all others wait
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def write_images(folder: Path, frames: NDArray[np.uint8], ending: str) -> None:
    folder.mkdir(parents=True)
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"{index:05d}.{ending}")


def write_masks(folder: Path, masks: NDArray[np.uint8], which: tuple[int, ...] = tuple(range(FRAMES))) -> None:
    from revseg.labels.masks import write_mask

    for index in which:
        write_mask(folder / f"{index:05d}.png", masks[index])


def _write_dataset(root: Path, frames: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
    (root / "ImageSets" / "2017").mkdir(parents=True)
    for name, split in (("one", "train"), ("two", "val")):
        write_images(root / "JPEGImages" / "480p" / name, frames, "jpg")
        write_masks(root / "Annotations" / "480p" / name, masks)
        (root / "ImageSets" / "2017" / f"{split}.txt").write_text(f"{name}\n")


def _write_labels_of_tools(folder: Path, frames: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
    """What the tools' exporters wrote; and a matte, and frames that all of it fits."""
    shutil.copytree(TOOLS, folder, ignore=shutil.ignore_patterns("*.py", "versions.json", "__pycache__"))
    for file in folder.rglob("*.json"):  # edits are of lines
        file.write_text(json.dumps(json.loads(file.read_text()), indent=1))
    rows, columns = TOOLS_SIZE
    write_images(folder / "frames", frames[:, :rows, :columns], "png")
    white = np.repeat(np.where(masks[:, :rows, :columns, None] == 1, 255, 0).astype(np.uint8), 3, axis=3)
    encode(folder / "matte.mkv", white, "ffv1", pixel_format="yuv420p")


def write_checkpoint(path: Path) -> None:
    """An untrained network is as good as any here."""
    from revseg import RevSegNet
    from revseg.evidence.config import EvidenceConfig
    from revseg.training.checkpoint import Checkpoint, save
    from revseg.training.config import OptimizerConfig
    from revseg.training.optimizer import Optimizer

    net = RevSegNet(channels=2, levels=1, depth=1, rank=4, classes=3)
    optimizer = Optimizer(net, OptimizerConfig())
    for parameter in net.parameters():
        parameter.grad = parameter.detach().clone()
    optimizer.step(1.0)
    recipe = {"placements": 1, "evidence": asdict(EvidenceConfig(source="none")), "scale": None}
    state = optimizer.state_dict()
    save(Checkpoint(net.config, net.state_dict(), state, step=1, seconds=1.0, height=64, label_count=3, recipe=recipe), path)
