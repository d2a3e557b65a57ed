"""Strokes spread to whole frames by colour, so that optical flow has something to carry along.

Each object in turn is cut out of its frame by GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004), in two ways: with the colours
of the strokes alone, and with those of all that is not drawn on as outside. Where both agree, the pixel is labelled. Where they
do not, where two objects claim it, and beside a contour it stays unknown. Strokes stay what they are.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from revseg import storage
from revseg.evidence.config import EvidenceConfig, StrokesConfig
from revseg.labels.masks import resize_mask, resize_sparse
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.video.resize import resize_picture

Labels = NDArray[np.uint8]


def spread(video: Sample, evidence: EvidenceConfig) -> Sample:
    """Returns the video with whole labels on its frames with strokes; as it is where it is labelled otherwise.

    That is where there is no evidence, where a frame has whole labels already, the video is no RGB, or no frame has strokes of an
    object and of another one, or of the background.
    """
    config = evidence.strokes
    if (
        evidence.source == "none"
        or not config.spread
        or video.whole_frames
        or not video.labelled_frames
        or len(video.volume) != 3
    ):
        return video
    masks, told = storage.empty(*video.masks.shape), []
    masks.copy_(video.masks)
    for row, (mask, frame) in enumerate(zip(video.masks.numpy(), video.labelled_frames, strict=True)):
        if len(np.setdiff1d(mask, VOID)) > 1:
            picture = np.ascontiguousarray(video.volume[:, frame].movedim(0, -1).numpy())
            masks[row] = torch.from_numpy(_spread(mask, picture, config))
            told.append(video.frame_names[frame])
    if not told:
        return video
    logging.getLogger(__name__).info(f"strokes are spread to the whole of their frames by colour: {', '.join(told)}")
    return replace(video, masks=masks)


def _spread(mask: Labels, picture: NDArray[np.uint8], config: StrokesConfig) -> Labels:
    """(H, W) at the size of the mask."""
    height, width = picture.shape[:2]
    if height > config.height:
        height, width = config.height, max(1, round(width * config.height / height))
        picture = resize_picture(picture, (height, width))
    strokes = resize_sparse(mask, height, width)
    found, claims, unknown = (np.zeros((height, width), np.uint8) for _ in range(3))
    for number in np.setdiff1d(strokes, (0, VOID)).tolist():
        wide, narrow = _cuts(strokes, number, picture, iterations=config.iterations)
        found[wide & narrow] = number
        claims += wide | narrow
        unknown |= wide != narrow
    found[(claims > 1) | (unknown > 0) | _near_contour(found, config.margin)] = VOID
    whole = resize_mask(found, *mask.shape)
    return np.where(mask == VOID, whole, mask)


def _cuts(strokes: Labels, number: int, picture: NDArray[np.uint8], *, iterations: int) -> list[NDArray[np.bool_]]:
    """What is inside: with the colours of the strokes alone, and with the rest taken for outside before colours are learned."""
    inside, outside = strokes == number, (strokes != VOID) & (strokes != number)
    state = np.full(strokes.shape, cv2.GC_PR_BGD, np.uint8)
    state[outside], state[inside] = cv2.GC_BGD, cv2.GC_FGD
    found = []
    for alone in (True, False):
        cv2.setRNGSeed(0)  # the mixtures of colours start at random
        models, cut = (np.zeros((1, 65)), np.zeros((1, 65))), state.copy()
        if alone:
            drawn = inside | outside
            cv2.grabCut(picture[drawn][None], state[drawn][None].copy(), None, *models, 0, cv2.GC_INIT_WITH_MASK)
            cv2.grabCut(picture, cut, None, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
        else:
            cv2.grabCut(picture, cut, None, *models, iterations, cv2.GC_INIT_WITH_MASK)
        found.append(_touching((cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD), inside))
    return found


def _touching(inside: NDArray[np.bool_], strokes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a mask that a stroke runs through: elsewhere it is the colour alone that is alike."""
    _, parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    return np.isin(parts, np.unique(parts[strokes & inside])) & inside


def _near_contour(labels: Labels, margin: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return np.asarray(cv2.dilate(labels, kernel) != cv2.erode(labels, kernel))
