"""What a classifier of looks, learned on the video itself, adds to the evidence: no part of what revseg-train does.

    python scripts/evidence_trial.py --root data/DAVIS --sequences drift-straight,kite-surf --powers 0,0.5,1

A small perceptron sees colour and the histogram of gradients around a pixel, each at two scales, and where the pixel is within
the object. It learns from the labelled frames, and from eight others where the smoothed evidence is sure; its log-odds, times a
power, are added to those of the evidence before this is smoothed again. J is that of the evidence alone, at the height of the
flow (evidence.flow.height), on frames that are not labelled; power 0 is the evidence as it is. One line a case is printed as
JSON. For videos of one object.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from harness import arguments
from quality.case import Case, Problem, Recipe, held_out
from torch import Tensor, nn

from revseg.evaluation import average, evaluate_masks
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carry import carry
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.flow import Flow
from revseg.evidence.smoothing import Given, Smoothing
from revseg.evidence.store import FlowStore
from revseg.labels.dataset import DavisDataset
from revseg.tasks.measures import object_ids

# Scales of the colours and of the histograms of gradients, in pixels; bins of the latter.
COLOUR_SCALES, GRADIENT_SCALES, BINS = (2, 6), (3, 8), 6
# Pixels that each labelled frame, and each of the others, gives; how far around the object those beside it lie.
LABELLED_PIXELS, OTHER_PIXELS, OTHERS, AROUND = 20000, 3000, 8, 20
STEPS, BATCH, HIDDEN, RATE, SURE, CLIP, LEAST = 300, 2048, 48, 1e-2, 0.8, 6.0, 0.02


def main() -> None:
    made = arguments.parser(__doc__)
    made.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages, Annotations and ImageSets lie")
    made.add_argument("--sequences", type=arguments.words, help="comma-separated (default: all there are)")
    made.add_argument("--labelled", type=arguments.numbers, default=[1], help="numbers of labelled frames (default: 1)")
    made.add_argument("--powers", default="0,1", help="powers of the looks, comma-separated (default: 0,1)")
    made.add_argument("--seed", type=int, default=0, help="of the classifier (default: 0)")
    made.add_argument("--max-frames", type=int, help="only the first frames of each sequence")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    given = made.parse_intermixed_args()
    for sequence in given.sequences or DavisDataset(given.root, year=2016).names:
        for labelled in given.labelled:
            recipe = Recipe(given.root, 2016, None, given.max_frames, None, tuple(given.overrides))
            recipe.check()
            problem = Problem(Case(sequence, labelled, "revseg"), recipe, Path("run"))
            measured(problem, [float(power) for power in given.powers.split(",")], given.seed)


def measured(problem: Problem, powers: list[float], seed: int) -> None:
    """Prints J of the evidence with each power of the looks."""
    config = problem.config.evidence
    known = problem.recipe.load(problem.case.sequence, config.flow.height)
    if len(object_ids(known)) != 1:
        raise ValueError(f"{known.name} has {len(object_ids(known))} objects: name sequences of one object")
    video = known.select(problem.labelled_frames)
    flow = Flow(video.volume, config.flow, store=FlowStore())
    unsmoothed = replace(config, smoothing=replace(config.smoothing, sweeps=0))
    weighed = carry(video, 2, flow=flow, config=unsmoothed, cache=EvidenceCache(None)).evidence
    smoothed = smooth(weighed, flow, config, video.labelled_frames)
    odds = looks(features(video.volume), smoothed.probabilities[1].float() / 255, video.labelled_frames, seed)
    others = held_out(known, problem.labelled_frames)
    for power in powers:
        found = smooth(added(weighed, power * odds, video.labelled_frames), flow, config, video.labelled_frames)
        masks = found.probabilities.max(0).indices.to(torch.uint8).numpy()
        truth = (row.numpy() for row in others.labels)
        scores = evaluate_masks((masks[t] for t in others.labelled_frames), truth, object_ids(known))
        about = {"sequence": known.name, "labelled": problem.case.labelled, "seed": seed, "power": power}
        print(json.dumps(about | {"J": round(average(scores.values()).J.mean, 4)}), flush=True)


def smooth(evidence: Evidence, flow: Flow, config: EvidenceConfig, labelled: tuple[int, ...]) -> Evidence:
    """Returns evidence that agrees along flow."""
    frames = (map(flow.fields.field, evidence.frame(number)) for number in range(evidence.frames))
    smoothed = Smoothing(flow, config.smoothing, fixed=labelled)(Given(*frame) for frame in frames)
    return Evidence(torch.stack([flow.fields.to_bytes(one).cpu() for one in smoothed], 1), evidence.confidence)


def added(evidence: Evidence, odds: Tensor, labelled: tuple[int, ...]) -> Evidence:
    """Returns evidence with log-odds (T, H, W) added where frames are not labelled."""
    likely = (evidence.probabilities.float() / 255).clamp(min=LEAST).log()
    objects = torch.sigmoid(likely[1] - likely[0] + odds.clamp(-CLIP, CLIP))
    probabilities = (255 * torch.stack([1 - objects, objects])).round().to(torch.uint8)
    probabilities[:, list(labelled)] = evidence.probabilities[:, list(labelled)]
    return Evidence(probabilities, evidence.confidence)


def features(volume: Tensor) -> Tensor:
    """Returns (T, H, W, D) float16 of a video (3, T, H, W) uint8: colours and histograms of gradients."""
    found = []
    for picture in volume.permute(1, 2, 3, 0).numpy():
        colours = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        across, down = (cv2.Sobel(colours[:, :, 0], cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        angle = (np.arctan2(down, across) % np.pi) / np.pi * BINS
        off = np.abs(angle[..., None] - np.arange(BINS))
        gradients = cv2.magnitude(across, down)[..., None] * (1 - np.minimum(off, BINS - off)).clip(min=0)
        blurred = [cv2.GaussianBlur(colours, (0, 0), scale) for scale in COLOUR_SCALES]
        histograms = [np.sqrt(cv2.GaussianBlur(gradients, (0, 0), scale)) for scale in GRADIENT_SCALES]
        found.append(torch.from_numpy(np.concatenate([colours, *blurred, *histograms], 2).astype(np.float16)))
    planes = torch.stack(found)
    first = planes[0].float()
    return ((planes - first.mean((0, 1))) / first.std((0, 1)).clamp(min=1e-3)).half()


def within(objects: Tensor) -> Tensor:
    """Returns where each pixel is within the object of a frame (H, W): (H, W, 2), in standard deviations from its middle."""
    weights = objects * (objects > 0.5)
    total, places = weights.sum() + 1e-3, []
    for axis, length in enumerate(objects.shape):
        place = torch.arange(length, dtype=torch.float32).view(-1, 1) if axis == 0 else torch.arange(length, dtype=torch.float32)
        middle = (weights * place).sum() / total
        spread = ((weights * (place - middle) ** 2).sum() / total).sqrt() + 8
        places.append(((place - middle) / spread).expand(objects.shape))
    return torch.stack(places, 2).clamp(-4, 4)


def looks(seen: Tensor, objects: Tensor, labelled: tuple[int, ...], seed: int) -> Tensor:
    """Returns the log-odds (T, H, W) of a classifier; objects: the evidence that it learns from, (T, H, W)."""
    torch.manual_seed(seed)
    frames = [torch.cat([one.float(), within(where)], 2) for one, where in zip(seen, objects, strict=True)]
    some = np.linspace(0, len(objects) - 1, OTHERS + 1).round().astype(int)[1:].tolist()
    taken = [(t, LABELLED_PIXELS) for t in labelled] + [(t, OTHER_PIXELS) for t in some]
    parts = [drawn(frames[t], objects[t], count) for t, count in taken]
    values, classes, weights = (torch.cat(column) for column in zip(*parts, strict=True))
    layers = nn.Linear(values.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
    net = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.randint(0, len(values), (BATCH,))
        loss = F.binary_cross_entropy_with_logits(net(values[rows])[:, 0], classes[rows], weight=weights[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return torch.stack([net(frame)[..., 0] for frame in frames])


def drawn(values: Tensor, objects: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns pixels of a frame, what they are, and 1 where that is sure: half of the object, a quarter beside it, a quarter
    anywhere else."""
    inside = objects > 0.5
    beside = F.max_pool2d(inside[None].float(), 2 * AROUND + 1, stride=1, padding=AROUND)[0] > 0
    rows = []
    for where, share in ((inside, 2), (beside & ~inside, 4), (~inside, 4)):
        numbers = where.flatten().nonzero()[:, 0]
        if len(numbers):
            rows.append(numbers[torch.randint(0, len(numbers), (count // share,))])
    chosen = torch.cat(rows)
    likely = objects.flatten()[chosen]
    sure = ((2 * likely - 1).abs() > 2 * SURE - 1).float()
    return values.flatten(0, 1)[chosen], (likely > 0.5).float(), sure


if __name__ == "__main__":
    main()
