"""From folders, laid out as data/README.md says, to samples."""

import difflib
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from revseg.labels.conventions import Conventions
from revseg.labels.files import mask_files
from revseg.labels.frames import Frames
from revseg.labels.lists import read_names
from revseg.labels.masks import check_encoding, read_mask
from revseg.labels.palette import VOID
from revseg.labels.read import Labelled, check_readable, read_labels
from revseg.labels.sample import Sample
from revseg.video.folder import FRAME_RATE, image_files
from revseg.video.frame import resized
from revseg.video.read import Video, probe, read_video
from revseg.video.reading import WHOLE, Reading

HOW_TO_GET = (
    "download DAVIS-2016 or DAVIS-2017 (480p) from https://davischallenge.org, unpack it, and set "
    "data.root to its folder DAVIS, where JPEGImages, Annotations and ImageSets lie (see data/README.md)"
)


class DavisDataset:
    """Videos with a mask for every frame, or for some.

        root/JPEGImages/480p/<name>/00000.jpg
        root/Annotations/480p/<name>/00000.png
        root/ImageSets/<year>/<split>.txt           one name a line

    split: a list in ImageSets, None: all sequences there are. year: 2016 or 2017, for the list and, unless
    `encoding` is given, for the encoding of the masks. resolution: the folder in JPEGImages and Annotations. reading: of each
    video.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        year: int = 2016,
        resolution: str = "480p",
        encoding: str | None = None,
        reading: Reading = WHOLE,
    ) -> None:
        self.root, self.year, self.resolution, self.reading = Path(root), year, resolution, reading
        self.encoding = encoding or f"davis{year}"
        check_encoding(self.encoding)
        self.frames = self.root / "JPEGImages" / resolution
        self.annotations = self.root / "Annotations" / resolution
        for folder in (self.root, self.frames, self.annotations):
            if not folder.is_dir():
                raise ValueError(f"data folder {folder} does not exist: {HOW_TO_GET}")
        self.names = self._all() if split is None else self._split(split)

    def size(self, name: str, height: int | None) -> tuple[int, int, int]:
        """(T, H, W) that `load` would give, without decoding more than a frame."""
        folder = self.frames / name
        frames = self.reading.part.count(len(image_files(folder)), 1 / FRAME_RATE)
        return frames, *resized(probe(folder, self.reading).native_size, height)

    def load(self, name: str, *, height: int | None = None, show: bool = False) -> Sample:
        """Returns a sequence, of the split or not, with all its masks. show: whether decoding has a bar."""
        source = self.folder_of(name)
        sample = _unlabelled(name, source, read_video(source, height=height, reading=self.reading, show=show))
        return with_labels(sample, read_labels(self.annotations / name, frames_of(sample), Conventions(self.encoding)))

    def classes(self, name: str) -> int:
        """Returns the number of classes that the first mask of a sequence needs, background included."""
        folder = self.annotations / name
        files = mask_files(folder) if folder.is_dir() else []
        return classes_of(torch.from_numpy(read_mask(files[0], self.encoding))[None]) if files else 1

    def folder_of(self, name: str) -> Path:
        """Returns the folder of a sequence's frames."""
        if name not in (there := self._all()):  # nor a way out of the folder, as ../other is
            raise ValueError(f"sequence {name!r} is not in {self.frames}: {_suggest(name, there)}")
        return self.frames / name

    def _all(self) -> list[str]:
        return sorted(path.name for path in self.frames.iterdir() if path.is_dir() and not path.name.startswith("."))

    def _split(self, split: str) -> list[str]:
        folders = self.root / "ImageSets" / str(self.year), self.root / "ImageSets" / self.resolution
        lists = [folder / f"{split}.txt" for folder in folders]
        path = next((path for path in lists if path.is_file()), None)
        if path is None:
            there = [str(path.relative_to(self.root)) for path in sorted(self.root.glob("ImageSets/*/*.txt"))]
            raise ValueError(f"list of sequences {lists[0]} does not exist: {_suggest(split, there)}")
        return read_names(path)


def load_own(
    video: str | Path,
    masks: str | Path,
    encoding: str,
    *,
    height: int | None = None,
    reading: Reading = WHOLE,
    conventions: Conventions | None = None,
) -> Sample:
    """Returns a video or a volume (``read_video``), with labels of some of its frames (``read_labels``).

    encoding: of PNG masks. conventions: what else is known of the labels. The mask `00012.png` labels frame 12 of a file, counted
    from 0, and the frame `00012.jpg` of a folder.
    """
    check_encoding(encoding)
    check_readable(Path(masks), Path(video))
    sample = load_unlabelled(video, height=height, reading=reading)
    read_as = replace(conventions or Conventions(), encoding=encoding)
    return with_labels(sample, read_labels(Path(masks), frames_of(sample), read_as))


def load_unlabelled(video: str | Path, *, height: int | None = None, reading: Reading = WHOLE) -> Sample:
    """Returns a video or a volume, with no label."""
    source = Path(video)
    return _unlabelled(source.stem, source, read_video(source, height=height, reading=reading, show=True))


def evenly_spaced(frames: int, count: int) -> tuple[int, ...]:
    """`count` of the positions 0 ... frames - 1, evenly spaced, the first and last included."""
    if not 1 <= count <= frames:
        raise ValueError(f"cannot take {count} of {frames} labelled frames: set data.labelled_frames to 1 ... {frames}")
    return tuple(round(i * (frames - 1) / max(1, count - 1)) for i in range(count))


def classes_of(labels: Tensor) -> int:
    """Classes that the labels need: background, and objects up to the highest id."""
    return 1 + max(objects_in(labels), default=0)


def objects_in(labels: Tensor) -> list[int]:
    """Returns the ids of the objects that the labels (L, H, W) show, ascending."""
    # Frame by frame: indices of 8 bytes would be as many as pixels.
    found = {value for frame in labels for value in frame.flatten().bincount().nonzero().flatten().tolist()}
    return sorted(found - {0, VOID})


def with_labels(sample: Sample, found: Labelled) -> Sample:
    """Returns a video with labels of its frames."""
    return replace(
        sample, masks=found.masks, labelled_frames=found.frames, object_names=found.names, objects_by_name=found.by_name
    )


def _unlabelled(name: str, source: Path, video: Video) -> Sample:
    return Sample(
        name=name,
        volume=video.volume,
        masks=torch.empty(0, *video.native_size, dtype=torch.uint8),
        labelled_frames=(),
        native_size=video.native_size,
        frame_rate=video.frame_rate,
        source=source,
        frame_names=video.names,
        lost_names=video.lost,
        total=video.total,
        begins=video.timestamps[0],
        scale=video.scale,
        sample_aspect_ratio=video.sample_aspect_ratio,
        sound=video.sound,
    )


def frames_of(sample: Sample) -> Frames:
    """Returns what labels of a video have to fit."""
    return Frames(sample.source, sample.frame_names, sample.native_size, lost=sample.lost_names, total=sample.total)


def _suggest(name: str, there: list[str]) -> str:
    if near := difflib.get_close_matches(name, there, 1):
        return f"did you mean {near[0]!r}?"
    return f"choose one of {', '.join(there)}" if there else "there is none"
