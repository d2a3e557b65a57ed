"""Writes the files beside it with the exporters of the tools themselves, each in an environment that has the tool.

    python -m venv A && A/bin/pip install labelme                           && A/bin/python make.py labelme
    python -m venv B && B/bin/pip install pycocotools napari                && B/bin/python make.py coco napari
    python -m venv D && D/bin/pip install supervision opencv-python         && D/bin/python make.py yolo
    python -m venv C && C/bin/pip install datumaro                          && C/bin/python make.py cvat datumaro

versions.json notes which versions wrote them.
"""

import json
import shutil
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from scene import FRAMES, HEIGHT, LABELLED, WIDTH, cat, dog, outline, pictures, truth  # noqa: E402


def labelme() -> str:
    """Of each labelled frame a file: a polygon and a mask."""
    from labelme import utils
    from labelme._label_file import LabelFile

    folder = emptied("labelme")
    for frame in LABELLED:
        rows, columns = np.nonzero(cat(frame))
        box = [[float(columns.min()), float(rows.min())], [float(columns.max()), float(rows.max())]]
        mask = cat(frame)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        none = {"group_id": None, "description": "", "flags": {}}
        polygon = {"label": "dog", "points": outline(frame), "shape_type": "polygon", "mask": None, **none}
        coded = utils.img_arr_to_b64(mask.astype(np.uint8))  # as the window of labelme does it
        shapes = [polygon, {"label": "cat", "points": box, "shape_type": "mask", "mask": coded, **none}]
        target, picture = folder / f"{frame:05d}.json", f"{frame:05d}.png"
        LabelFile().save(str(target), shapes, image_path=picture, image_height=HEIGHT, image_width=WIDTH)
    return f"labelme {version('labelme')}"


def coco() -> str:
    """A polygon, compressed and uncompressed run lengths, by pycocotools."""
    from pycocotools import mask as tools

    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    images, annotations = [], []
    for frame in range(FRAMES):
        images.append({"id": 10 + frame, "file_name": f"{frame:05d}.png", "height": HEIGHT, "width": WIDTH})
    for frame in LABELLED:
        of_cat = tools.encode(np.asfortranarray(cat(frame).astype(np.uint8)))
        polygon = [[float(value) for corner in outline(frame) for value in corner]]
        assert (tools.decode(tools.merge(tools.frPyObjects(polygon, HEIGHT, WIDTH))) == dog(frame)).all()
        parts = [(1, polygon, 0), (2, {"size": of_cat["size"], "counts": of_cat["counts"].decode()}, 0)]
        if frame == LABELLED[1]:
            parts[1] = (2, {"size": [HEIGHT, WIDTH], "counts": counts_of(cat(frame))}, 1)
            assert (tools.decode(tools.frPyObjects(parts[1][1], HEIGHT, WIDTH)) == cat(frame)).all()
        for category, segmentation, crowd in parts:
            annotation = {"id": 1 + len(annotations), "image_id": 10 + frame, "category_id": category, "iscrowd": crowd}
            annotations.append({**annotation, "segmentation": segmentation, "bbox": [0, 0, 1, 1], "area": 1})
    content = {"images": images, "categories": categories, "annotations": annotations}
    (HERE / "coco.json").write_text(json.dumps(content))
    youtube_vis(tools, categories)
    return f"pycocotools {version('pycocotools')}"


def youtube_vis(tools, categories) -> None:
    """As published with YouTube-VIS 2021, run lengths by pycocotools."""
    files = [f"scene/{frame:05d}.jpg" for frame in (*LABELLED, FRAMES - 1)]
    annotations = []
    for number, made in ((1, dog), (2, cat)):
        parts = [tools.encode(np.asfortranarray(made(frame).astype(np.uint8))) for frame in LABELLED]
        segmentations = [{"size": part["size"], "counts": part["counts"].decode()} for part in parts]
        common = {"id": number, "video_id": 1, "category_id": number, "iscrowd": 0, "height": HEIGHT, "width": WIDTH}
        annotations.append({**common, "segmentations": [*segmentations, None]})
    videos = [{"id": 1, "file_names": files, "height": HEIGHT, "width": WIDTH, "length": len(files)}]
    (HERE / "youtube_vis.json").write_text(json.dumps({"videos": videos, "categories": categories, "annotations": annotations}))


def counts_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    return np.diff([0, *edges.tolist(), flat.size]).tolist()


def yolo() -> str:
    """A folder as Ultralytics takes it, by supervision of Roboflow."""
    import supervision as sv

    folder, images, annotations = emptied("yolo"), {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        for frame in LABELLED:
            path = f"{temporary}/{frame:05d}.png"
            Image.fromarray(pictures()[frame]).save(path)
            masks = np.stack([dog(frame), cat(frame)])
            boxes = sv.mask_to_xyxy(masks)
            images[path] = path
            annotations[path] = sv.Detections(xyxy=boxes, mask=masks, class_id=np.array([0, 1]))
        dataset = sv.DetectionDataset(classes=["dog", "cat"], images=list(images), annotations=annotations)
        dataset.as_yolo(annotations_directory_path=str(folder / "labels"), data_yaml_path=str(folder / "data.yaml"))
    return f"supervision {version('supervision')}"


def napari() -> str:
    """A labels layer, by the writer of napari."""
    from napari_builtins.io._write import napari_write_labels

    stack = np.zeros((FRAMES, HEIGHT, WIDTH), np.int64)
    for frame in LABELLED:
        stack[frame] = truth(frame)
    napari_write_labels(str(HERE / "napari.tif"), stack, {})
    return f"napari {version('napari')}"


def dataset_of(attributes=lambda number: {}):
    """The scene as Datumaro has it."""
    import datumaro as dm

    items = []
    for frame in range(FRAMES):
        shapes = []
        if frame in LABELLED:
            flat = [float(value) for corner in outline(frame) for value in corner]
            shapes = [
                dm.Polygon(flat, label=0, attributes=attributes(0)),
                dm.Mask(cat(frame), label=1, attributes=attributes(1)),
            ]
        media = dm.Image.from_numpy(pictures()[frame], ext=".png")
        items.append(
            dm.DatasetItem(f"{frame:05d}", subset="default", media=media, annotations=shapes, attributes={"frame": frame})
        )
    return dm.Dataset.from_iterable(items, categories=["dog", "cat"])


def cvat() -> str:
    """CVAT for images, as a zip archive with the pictures, and for video, by Datumaro."""
    with tempfile.TemporaryDirectory() as temporary:
        dataset_of().export(f"{temporary}/images", "cvat", save_media=True)
        with zipfile.ZipFile(HERE / "cvat_images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(f"{temporary}/images").rglob("*")):
                name = "annotations.xml" if path.suffix == ".xml" else str(path.relative_to(f"{temporary}/images"))
                archive.write(path, name)
        tracks = dataset_of(lambda number: {"track_id": number, "keyframe": True, "outside": False, "occluded": False})
        tracks.export(f"{temporary}/video", "cvat", save_media=False, use_track=True)
        shutil.copy(f"{temporary}/video/default.xml", HERE / "cvat_video.xml")
    return f"Datumaro {version('datumaro')}"


def datumaro() -> str:
    """COCO and the masks of VOC by colour, as CVAT exports them, by Datumaro."""
    with tempfile.TemporaryDirectory() as temporary:
        dataset_of().export(f"{temporary}/coco", "coco_instances", save_media=False)
        shutil.copy(f"{temporary}/coco/annotations/instances_default.json", HERE / "datumaro_coco.json")
        dataset = dataset_of().select(lambda item: bool(item.annotations)).transform("polygons_to_masks")
        table = Path(f"{temporary}/labelmap.txt")
        table.write_text("background:0,0,0::\ndog:250,50,83::\ncat:51,221,255::\n")  # colours that CVAT gives
        dataset.export(f"{temporary}/voc", "voc_segmentation", save_media=False, apply_colormap=True, label_map=str(table))
        folder = emptied("voc")
        shutil.copy(f"{temporary}/voc/labelmap.txt", folder / "labelmap.txt")
        shutil.copytree(f"{temporary}/voc/SegmentationClass", folder / "SegmentationClass")
    return f"Datumaro {version('datumaro')}"


def emptied(name: str) -> Path:
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir()
    return HERE / name


if __name__ == "__main__":
    noted = HERE / "versions.json"
    versions = json.loads(noted.read_text()) if noted.exists() else {}
    tools = {"labelme": labelme, "coco": coco, "yolo": yolo, "napari": napari, "cvat": cvat, "datumaro": datumaro}
    for tool in sys.argv[1:]:
        versions[tool] = tools[tool]()
    noted.write_text(json.dumps(dict(sorted(versions.items())), indent=2) + "\n")
