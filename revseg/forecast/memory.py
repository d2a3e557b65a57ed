"""Peak memory of a whole run, and what it keeps on disk: the greatest of its phases, not their sum.

    decoding             the video, a chunk of it twice
    optical flow,        video, masks, evidence, and what each phase of it holds        ``revseg.evidence.memory``
    carrying, motion,
    smoothing
    training             all of these that stay, items made ahead, a step               ``revseg.network.memory``
    inference            the same without items, a pass for each placement              ``revseg.segmentation.memory``
    segmenting           frames on their way to masks
    writing              the encoder of the overlay                                     ``revseg.output.memory``

Each phase begins with the memory that the last one freed given back (``revseg.runs.heap``). The libraries of the process are
measured, where it runs; what later phases load beside them is a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from revseg.config import TrainConfig
from revseg.evidence.memory import EvidenceSize, evidence_disk, evidence_phases
from revseg.forecast.outline import Outline, sees_evidence
from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, forecast_training
from revseg.network.plan import seen_frames
from revseg.output.memory import output_disk, writing_bytes
from revseg.segmentation.memory import deciding_bytes, inference_bytes, summed_bytes
from revseg.training.feed import items_bytes
from revseg.video.memory import decoder_bytes, decoding_bytes

FLOW_LIBRARY = 16 << 20
"""Bytes of OpenCV as it works and of the threads of the flow, beside what is imported (measured: torch 2.14, OpenCV 5)."""
TRAINING_LIBRARY = 120 << 20
"""Bytes of what autograd imports with its first gradient, sympy, and of oneDNN at its first step (measured: torch 2.14, CPU)."""
CUDA_LIBRARY = 2 << 30
"""Bytes that CUDA takes of the host. Measured nowhere: a margin."""
CHECKPOINTS = 2
"""Checkpoints on the disk at once: the last one, and that which is written beside it."""


@dataclass(frozen=True)
class RunForecast:
    """Bytes of a whole run."""

    host: dict[str, int]
    """Memory of the process, its libraries included, in each phase, in order."""
    device: dict[str, int]
    """Memory of a GPU, in each phase that uses it; empty on a CPU."""
    decoder: int
    """Memory of the process that decodes, beside them."""
    disk: dict[str, int]
    """What is written, by purpose."""
    network: Forecast
    """A training step."""

    @property
    def phase(self) -> str:
        """The phase that takes most of the host."""
        return max(self.host, key=lambda name: self.host[name])

    @property
    def peak(self) -> int:
        """Most of the host's memory that the process takes."""
        return self.host[self.phase]

    @property
    def device_peak(self) -> int:
        """Most of the GPU's memory; 0 on a CPU."""
        return max(self.device.values(), default=0)


@dataclass
class _Standing:
    """What stays in memory from one phase to the next, by name."""

    parts: dict[str, int]
    phases: dict[str, int] = field(default_factory=dict)

    def reach(self, phase: str, more: int) -> None:
        """Notes what a phase takes beside all that stands."""
        self.phases[phase] = sum(self.parts.values()) + more


def forecast_run(
    config: TrainConfig, outline: Outline, network: NetworkConfig, *, device: str, held: int, threads: int
) -> RunForecast:
    """Forecasts a training with everything before and after it.

    network: as it is arranged. device: its type. held: bytes of this process as it begins (``held_memory``). threads: of PyTorch.
    """
    footage, size = outline.footage, outline.network_size(config.data)
    evidence, on_cpu = outline.evidence_size(config), device == "cpu"
    pixels, frames = size[1] * size[2], footage.frames
    step = forecast_training(
        network,
        size,
        device=device,
        labelled_frames=outline.trained_frames(config),
        optimizer=config.training.optimizer.name,
        any_offset=config.augment.offset,
        shards=config.parallel.shards,
    )
    standing = _Standing({"libraries": held})
    standing.reach("decoding", decoding_bytes(footage, evidence.size))
    flows = config.evidence.source != "none" or config.evidence.smoothing.sweeps > 0
    carries = sees_evidence(config) and (bool(outline.labelled_frames) or config.task == "dataset")
    standing.parts |= {
        "video": footage.volume_bytes(evidence.size),
        "masks": len(outline.labelled_frames) * footage.native_pixels,
    }
    if evidence.size != size[1:]:
        standing.parts["small video"] = footage.volume_bytes(size[1:])
    if flows:
        standing.parts["libraries"] += FLOW_LIBRARY
    if carries:
        _carry(standing, config, outline, evidence=evidence, threads=threads)
    standing.parts["libraries"] += TRAINING_LIBRARY if on_cpu else TRAINING_LIBRARY + CUDA_LIBRARY
    if carries and evidence.size != size[1:]:
        returned = len(outline.labelled_frames) * evidence.shares
        standing.parts["seen"] = (outline.classes + 1) * (frames + returned) * pixels
    own = (seen_frames(network, frames, config.parallel.shards), *size[1:])
    items = items_bytes(network, own, config.training.ahead)
    standing.reach("training", items + (step.total - step.input if on_cpu else 0))
    inputs = network.inputs * frames * pixels
    shards = config.parallel.shards if config.task == "one_video" else 1  # videos of a dataset are shared out whole
    inference = inference_bytes(network, size, placements=config.placements, device=device, shards=shards)
    summed = summed_bytes(network, size, config.placements)
    standing.reach("inference", inference if on_cpu else inputs)
    deciding = deciding_bytes(
        evidence, config.evidence, footage.native_pixels, fixed=len(outline.labelled_frames), threads=threads
    )
    standing.reach("segmenting", inputs + frames * pixels + deciding + (summed if on_cpu else 0))
    writing = writing_bytes(footage.native_size, frames, classes=outline.classes, config=config.output)
    standing.reach("writing", frames * pixels + writing)
    return RunForecast(
        host=standing.phases,
        device={} if on_cpu else {"training": step.total, "inference": inference, "segmenting": summed},
        decoder=decoder_bytes(footage),
        disk=_disk(config, outline, evidence, flows=flows, carries=carries, weights=step.weights),
        network=step,
    )


def _carry(standing: _Standing, config: TrainConfig, outline: Outline, *, evidence: EvidenceSize, threads: int) -> None:
    # Masks that are read stay until the task is made, all of them and the held-out ones once more.
    masks = (2 * outline.known - len(outline.labelled_frames)) * outline.footage.native_pixels
    standing.parts["evidence"] = evidence.held_bytes
    for phase, more in evidence_phases(evidence, config.evidence, threads).items():
        standing.reach(phase, masks + more)


def _disk(
    config: TrainConfig, outline: Outline, evidence: EvidenceSize, *, flows: bool, carries: bool, weights: int
) -> dict[str, int]:
    keeps = config.evidence.cache and config.task == "one_video"
    found = evidence_disk(evidence, config.evidence, keeps=keeps and carries) if flows else {}
    footage = outline.footage
    written = output_disk(footage.native_size, footage.frames, classes=outline.classes, config=config.output)
    return found | {"checkpoints": CHECKPOINTS * weights, "results": written}
