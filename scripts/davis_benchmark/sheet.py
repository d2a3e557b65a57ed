"""Contact sheet of one prediction: a few frames, each with its truth, the prediction, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from davis_benchmark.problem import unlabelled
from revseg.evaluation.measures import region_similarity
from revseg.labels.masks import resize_mask
from revseg.labels.sample import VOID, Sample
from revseg.output.overlay import overlay
from revseg.runs.atomic import replacing
from revseg.tasks.measures import Mask

ROWS = 4
WIDTH = 320  # of a picture
LINE = 16  # of text
MISSING, TOO_MUCH, OTHER_OBJECT = (60, 120, 255), (255, 50, 40), (255, 210, 0)

Picture = NDArray[np.uint8]


def write_sheet(path: Path, heading: str, known: Sample, masks: Mask, labelled_frames: Sequence[int]) -> None:
    """masks: (T, H, W), of all frames."""
    truth = unlabelled(known, labelled_frames)
    labels = dict(zip(truth.labelled_frames, (row.numpy() for row in truth.labels), strict=True))
    score = {frame: similarity(masks[frame], labels[frame]) for frame in labels}
    frames, height = chosen(score), round(WIDTH * known.height / known.width)
    sheet = Image.new("RGB", (4 * WIDTH, 2 * LINE + len(frames) * (height + LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((4, 2), heading, "black")
    for column, title in enumerate(("frame", "truth", "prediction", "error: red too much, blue missing")):
        draw.text((column * WIDTH + 4, LINE + 2), title, "black")
    for line, frame in enumerate(frames):
        top = 2 * LINE + line * (height + LINE)
        note = ", the worst" if frame == worst(score) else ""
        draw.text((4, top + 2), f"frame {known.frame_names[frame]}, J {score[frame]:.3f}{note}", "black")
        picture = Image.fromarray(np.ascontiguousarray(known.volume[:, frame].permute(1, 2, 0).numpy()))
        enlarged = np.asarray(picture.resize((WIDTH, height), Image.Resampling.BILINEAR))
        of_size = (resize_mask(labels[frame], height, WIDTH), resize_mask(masks[frame], height, WIDTH))
        for column, part in enumerate(pictures(enlarged, *of_size)):
            sheet.paste(Image.fromarray(part), (column * WIDTH, top + LINE))
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def chosen(score: dict[int, float]) -> list[int]:
    """The worst frame, and others spread over the video; ascending."""
    frames = sorted(score)
    spread = [frames[(2 * i + 1) * len(frames) // (2 * (ROWS - 1))] for i in range(ROWS - 1)]
    return sorted({worst(score), *spread})


def worst(score: dict[int, float]) -> int:
    return min(score, key=lambda frame: score[frame])


def similarity(mask: Mask, labels: Mask) -> float:
    """J of all objects taken as one."""
    return region_similarity(mask > 0, (labels > 0) & (labels != VOID), labels == VOID)


def pictures(frame: Picture, labels: Mask, mask: Mask) -> tuple[Picture, Picture, Picture, Picture]:
    true = np.where(labels == VOID, np.uint8(0), labels)
    return frame, overlay(frame, true), overlay(frame, mask), error(frame, labels, mask)


def error(frame: Picture, labels: Mask, mask: Mask) -> Picture:
    """Wrong pixels in colour on the frame in grey."""
    grey = frame.mean(axis=2, keepdims=True) / 2 + 64
    result = np.repeat(grey, 3, axis=2).astype(np.uint8)
    wrong = (mask != labels) & (labels != VOID)
    result[wrong] = OTHER_OBJECT
    result[wrong & (labels == 0)] = TOO_MUCH
    result[wrong & (mask == 0)] = MISSING
    return result
