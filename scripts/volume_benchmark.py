"""Volumes labelled by a few voxels: a seismic cube along boreholes, and a stack of 16 channels at 50 points.

    python scripts/volume_benchmark.py                          # both, about 10 minutes on one CPU core
    python scripts/volume_benchmark.py --cases bands key=value  # settings of revseg-train

Both are made here, so that all is known of them. J is measured on all voxels that are not labelled, of the volume as one. Two
baselines learn nothing: every voxel takes the label of the nearest labelled voxel, or of the one with the most similar channels.
Data, runs and pictures lie in runs/volumes; the page docs/results/volumes.md gets a section.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from harness import ROOT, arguments, machine
from harness.page import table, write_section
from harness.process import Reply, run
from harness.settings import compose
from numpy.typing import NDArray
from PIL import Image

from revseg.output.overlay import overlay
from revseg.train import train
from revseg.video.picture import picture_of
from revseg.video.read import read_video

FOLDER, UNKNOWN = ROOT / "runs" / "volumes", 255
NAMES = {"seismic": ("upper layers", "lower layers", "salt"), "bands": ("material 0", "material 1", "material 2", "material 3")}
Volume = NDArray[np.float32]
Labels = NDArray[np.uint8]


def smooth_noise(random: np.random.Generator, shape: tuple[int, ...], width: float) -> Volume:
    """Returns noise of unit variance whose neighbours within a width agree (periodic)."""
    spectrum = np.fft.fftn(random.normal(size=shape))
    squares = sum(np.fft.fftfreq(n).reshape([-1 if i == axis else 1 for i in range(3)]) ** 2 for axis, n in enumerate(shape))
    found = np.fft.ifftn(spectrum * np.exp(-2 * (np.pi * width) ** 2 * squares)).real
    return ((found - found.mean()) / found.std()).astype(np.float32)


def seismic(seed: int = 0, size: tuple[int, int, int] = (32, 64, 64)) -> tuple[Volume, Labels, Labels]:
    """Returns a cube (T, H, W), H the depth, its classes, and what is known along eight boreholes of 3 x 3 voxels.

    Folded layers of two packages, thin and thick, that faults displace as blocks, and a salt body without layers. Reflectivity
    along the depth is convolved with a Ricker wavelet; noise is added.
    """
    random = np.random.default_rng(seed)
    t, h, w = (axis / n for axis, n in zip(np.meshgrid(*map(np.arange, size), indexing="ij"), size, strict=True))
    fold = 0.05 * np.sin(2 * np.pi * (1.2 * w + 0.4 * t)) + 0.03 * np.cos(2 * np.pi * (t - 0.5 * w))
    throw = 0.07 * (w + 0.3 * t + 0.15 * h > 0.65) - 0.05 * (w - 0.2 * t - 0.2 * h < 0.08) + 0.04 * (t - 0.2 * w > 0.6)
    strata = ((h + fold + throw + 0.2) * size[1]).clip(0, 159).astype(int)
    border = int(0.75 * size[1])
    thin, thick = (random.normal(size=-(-160 // step)).repeat(step)[:160] for step in (2, 6))
    impedance = np.where(np.arange(160) < border, thin, 0.8 * thick)[strata]
    classes = (strata >= border).astype(np.uint8)
    radius = np.sqrt(((t - 0.55) / 0.31) ** 2 + ((w - 0.52) / 0.23) ** 2 + ((h - 0.84) / 0.4) ** 2)
    salt = radius + 0.06 * smooth_noise(random, size, 4) < 1
    picked = np.where(salt, 1.5 + 0.35 * smooth_noise(random, size, 1.2), impedance)
    classes[salt] = 2
    reflectivity = np.diff(picked, axis=1, prepend=picked[:, :1])
    x = (np.pi * 0.16 * np.arange(-8, 9)) ** 2
    ricker = (1 - 2 * x) * np.exp(-x)
    cube = np.apply_along_axis(np.convolve, 1, reflectivity, ricker, mode="same")
    cube = cube / cube.std() + 0.3 * random.normal(size=size)
    known = np.full(size, UNKNOWN, np.uint8)
    for at in ((0.12, 0.12), (0.15, 0.52), (0.18, 0.87), (0.5, 0.32), (0.56, 0.6), (0.53, 0.92), (0.85, 0.15), (0.88, 0.69)):
        row, column = (round(share * n) for share, n in zip(at, (size[0], size[2]), strict=True))
        around = slice(row - 1, row + 2), slice(None), slice(column - 1, column + 2)
        known[around] = classes[around]
    return cube.astype(np.float32), classes, known


def bands(seed: int = 0, size: tuple[int, int, int] = (32, 64, 64)) -> tuple[Volume, Labels, Labels]:
    """Returns a stack (T, H, W, 16), its classes, and what is known of 50 voxels.

    Four materials whose spectra differ by less than the noise in every band, under a brightness that varies over the volume.
    """
    random = np.random.default_rng(seed)
    classes = np.stack([smooth_noise(random, size, 5) for _ in range(4)]).argmax(0).astype(np.uint8)
    spectra = 3 + 0.6 * np.linalg.qr(random.normal(size=(16, 4)))[0].T * 4 / 2
    light = np.exp(0.25 * smooth_noise(random, size, 8))[..., None]
    stack = spectra[classes] * light + random.normal(size=(*size, 16))
    known = np.full(size, UNKNOWN, np.uint8)
    points = random.choice(classes.size, 50, replace=False)
    known.ravel()[points] = classes.ravel()[points]
    return stack.astype(np.float32), classes, known


def nearest(of: Volume, known: Labels) -> Labels:
    """Returns the label of the labelled voxel that is nearest by some features (T, H, W, F)."""
    features = torch.from_numpy(of.reshape(known.size, -1).astype(np.float32))
    rows = np.flatnonzero(known.ravel() != UNKNOWN)
    closest = [torch.cdist(some, features[rows]).argmin(1) for some in features.split(20_000)]
    return known.ravel()[rows][torch.cat(closest).numpy()].reshape(known.shape)


def similarities(found: Labels, classes: Labels, known: Labels) -> list[float]:
    """Returns J of each class but 0 on the voxels that are not labelled."""
    left = known == UNKNOWN
    pairs = [((found == number)[left], (classes == number)[left]) for number in range(1, classes.max() + 1)]
    return [float((one & other).sum() / (one | other).sum()) for one, other in pairs]


def trained(given: list[str]) -> Reply:
    train(compose(given))
    return {}


def draw(path: Path, video: Path, volumes: list[Labels]) -> None:
    """Writes slices of the volume, and the classes of each on them, side by side."""
    planes = read_video(video).volume.numpy()
    rows = []
    for frame in np.linspace(4, planes.shape[1] - 5, 3).astype(int):
        picture = picture_of(list(planes[:, frame]))
        drawn = [overlay(picture, np.where(each[frame] == UNKNOWN, 0, each[frame] + 1).astype(np.uint8)) for each in volumes]
        rows.append(
            np.concatenate([np.pad(each, ((0, 2), (0, 2), (0, 0)), constant_values=255) for each in (picture, *drawn)], 1)
        )
    Image.fromarray(np.concatenate(rows).repeat(2, 0).repeat(2, 1)).save(path)


def measured(name: str, overrides: list[str]) -> list[list[str]]:
    """Makes the data, trains, and returns a row of the table for each method."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    volume, classes, known = (seismic if name == "seismic" else bands)()
    files = {"video": volume, "masks": known, "truth": classes}
    for key, array in files.items():
        np.save(folder / f"{key}.npy", array)
    given = [f"data.{key}={folder / key}.npy" for key in files] + [f"run_dir={folder / 'run'}", "device=cpu"]
    reply = run(trained, ["experiment=volume", *given, *overrides], log=folder / "train.txt", device="cpu")
    if "error" in reply:
        raise SystemExit(f"volume_benchmark: {name}: {reply['error']}")
    places = np.stack(np.meshgrid(*map(np.arange, known.shape), indexing="ij"), -1)
    methods = {
        "nearest labelled voxel": nearest(places, known),
        "most similar channels": nearest(volume, known),
        "revseg": np.load(folder / "run" / "predictions" / "masks.npy"),
    }
    draw(folder / "slices.png", folder / "video.npy", [known, classes, methods["revseg"]])
    rows = []
    for method, found in methods.items():
        each = similarities(found, classes, known)
        rows.append([method, *(f"{value:.3f}" for value in each), f"{np.mean(each):.3f}"])
    return rows


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--cases", type=arguments.some_of(list(NAMES)), default=list(NAMES), help="of seismic,bands")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results" / "volumes.md", help="Markdown page")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    given = parser.parse_args()
    facts = machine.lines(machine.facts("cpu", torch.get_num_threads()))
    for name in given.cases:
        header = ("method", *(f"J {part}" for part in NAMES[name][1:]), "mean J")
        print(text := table(header, measured(name, given.overrides)), flush=True)
        write_section(given.page, "volume_benchmark", name, f"{text}\n\n{facts}")


if __name__ == "__main__":
    main()
