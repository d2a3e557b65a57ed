"""Peak memory of a whole run, and what it keeps on disk: the greatest of its phases, not their sum.

    decoding             the video
    optical flow,        video, masks, evidence, and what each phase of it holds        ``revseg.evidence.memory``
    carrying, motion,
    smoothing
    training             all of these that stay, items made ahead, a step               ``revseg.network.memory``
    inference            the same without items, a pass for each placement              ``revseg.segmentation.memory``
    segmenting           frames on their way to masks
    writing              the encoder of the overlay                                     ``revseg.output.memory``

What is large lies on disk (``storage``), and a few of its pages in memory. Each phase begins with the memory that the last one
freed given back (``revseg.runs.heap``). The libraries of the process are measured, where it runs; what later phases load beside
them is a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from revseg import storage
from revseg.config import TrainConfig
from revseg.evidence.memory import EvidenceSize, asks_looks, evidence_disk, evidence_phases, ground_bytes, moves, recognised_bytes
from revseg.forecast.outline import Outline, sees_evidence
from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, forecast_prediction, forecast_training
from revseg.network.plan import seen_frames
from revseg.output.memory import output_disk, writing_bytes
from revseg.segmentation.memory import deciding_bytes, summed_bytes
from revseg.training.augment import augmenting_bytes
from revseg.training.feed import item_bytes
from revseg.video.memory import decoder_bytes, decoding_bytes

FLOW_LIBRARY = 16 << 20
"""Bytes of OpenCV as it works and of the threads of the flow, beside what is imported (measured: torch 2.14, OpenCV 5)."""
TRAINING_LIBRARY = 48 << 20
"""Bytes of what TensorBoard, and oneDNN and autograd at the first step, load (measured: torch 2.14; 65 MB on a CPU with AMX, less
without: this is between them)."""
PARTS_OF_A_STEP = 3
"""Opening, blocks, head with loss: the heap keeps what one has freed, in pieces that do not fit the next (measured: glibc)."""
HELD_OF_HIDDEN = 2
"""Times that hidden activations count which are kept: in pieces of a slab, they lie between temporaries of other slabs, and the
heap holds as much in gaps (measured: glibc; 1,600 and 10,000 frames)."""
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
    """What stays from one phase to the next, by name, in memory or, where it is large, on disk (``storage``)."""

    parts: dict[str, int]
    phases: dict[str, int] = field(default_factory=dict)
    disk: int = 0
    """Most bytes of tensors on disk so far."""

    def stay(self, name: str, size: int) -> None:
        """Notes what stays from now on."""
        self.parts[name] = size

    def reach(self, phase: str, more: int, *tensors: int, pinned: bool = False) -> None:
        """Notes what a phase takes beside all that stands: bytes of memory, and of tensors, which lie on disk where large."""
        stored = [size for name, size in self.parts.items() if name != "libraries" and storage.on_disk(size)]
        own = [size for size in tensors if storage.on_disk(size, pinned=pinned)]
        held = sum(self.parts.values()) - sum(stored) + sum(tensors) - sum(own)
        self.phases[phase] = held + more + min(storage.PAGES, sum(stored) + sum(own))
        self.disk = max(self.disk, sum(stored) + sum(own))


def forecast_run(
    config: TrainConfig, outline: Outline, network: NetworkConfig, *, device: str, held: int, threads: int
) -> RunForecast:
    """Forecasts a training with everything before and after it.

    network: as it is arranged. device: its type. held: bytes of this process as it begins (``held_memory``). threads: of PyTorch.
    """
    footage, size, seen = outline.footage, outline.network_size(config.data), outline.seen_size(config.data)
    evidence, on_cpu = outline.evidence_size(config), device == "cpu"
    pixels, frames = size[1] * size[2], footage.frames
    step = forecast_training(
        network,
        seen,
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
    _read(standing, config, outline)
    if flows:
        standing.parts["libraries"] += FLOW_LIBRARY
    if carries:
        _carry(standing, config, outline, evidence=evidence, threads=threads)
    standing.parts["libraries"] += TRAINING_LIBRARY if on_cpu else TRAINING_LIBRARY + CUDA_LIBRARY
    if carries and evidence.size != size[1:]:
        for part, more in _seen_bytes(outline, evidence, pixels).items():
            standing.stay(part, more)
    own = (seen_frames(network, seen[0], config.parallel.shards), *size[1:])
    items = (max(1, config.training.ahead) + 1) * [item_bytes(network, own)]
    making = max(1, config.training.ahead) * augmenting_bytes(network, own, device)
    on_heap = step.total - step.input + _gaps(step) if on_cpu else 0
    standing.reach("training", making + on_heap, *items, pinned=not on_cpu)
    training = step.total - (step.input if config.training.input == "host" else 0)
    inputs, masks = item_bytes(network, size), frames * pixels
    shards = config.parallel.shards if config.task == "one_video" else 1  # videos of a dataset are shared out whole
    summed = summed_bytes(network, size, config.placements, window=config.data.window)
    on_host = [inputs, masks, summed] if on_cpu else [inputs, masks]
    passing = forecast_prediction(network, seen, device=device, shards=shards)
    own_pass = passing.total - passing.input if on_cpu else 0
    standing.reach("inference", own_pass + (_gaps(passing) if on_cpu else 0), *on_host)
    deciding = deciding_bytes(
        evidence, config.evidence, footage.native_pixels, pooled=carries and bool(evidence.labelled_frames), threads=threads
    )
    writing = writing_bytes(footage.native_size, frames, classes=outline.classes, config=config.output)
    # What is decided is written meanwhile; of a single pass the last state is still there.
    standing.reach("segmenting", deciding + writing + (0 if summed else own_pass), *on_host)
    standing.reach("writing", writing, masks)
    return RunForecast(
        host=standing.phases,
        device={} if on_cpu else {"training": training, "inference": passing.total + summed, "segmenting": summed},
        decoder=decoder_bytes(footage),
        disk=({"frames": standing.disk} if standing.disk else {})
        | _disk(config, [outline, *outline.beside], flows=flows, carries=carries, weights=step.weights),
        network=step,
    )


def _gaps(step: Forecast) -> int:
    """Bytes that the heap holds beside a step, or a pass: pieces that are freed and fit nothing that follows."""
    return (PARTS_OF_A_STEP - 1) * step.slab + (HELD_OF_HIDDEN - 1) * step.hidden


def _read(standing: _Standing, config: TrainConfig, outline: Outline) -> None:
    """Notes what stays of the videos that were read."""
    footage, size, evidence = outline.footage, outline.network_size(config.data), outline.evidence_size(config)
    standing.stay("video", footage.volume_bytes(evidence.size))
    standing.stay("masks", len(outline.labelled_frames) * footage.native_pixels)
    if evidence.size != size[1:]:
        standing.stay("small video", footage.volume_bytes(size[1:]))
    for number, other in enumerate(outline.beside):
        for part, more in _kept_bytes(config, other).items():
            standing.stay(f"{part} of another video, {number}", more)


def _seen_bytes(outline: Outline, evidence: EvidenceSize, pixels: int) -> dict[str, int]:
    """Evidence at the size of the network, by tensor; pixels: of one of its frames."""
    returned = len(outline.labelled_frames) * evidence.shares
    planes = outline.classes + 1
    return {"seen": planes * outline.footage.frames * pixels, "returned": planes * returned * pixels}


def _kept_bytes(config: TrainConfig, outline: Outline) -> dict[str, int]:
    """What stays of a video that another one is worked on beside, by tensor."""
    footage, size, evidence = outline.footage, outline.network_size(config.data), outline.evidence_size(config)
    found = {"video": footage.volume_bytes(evidence.size), "masks": outline.known * footage.native_pixels}
    if sees_evidence(config) and outline.labelled_frames:
        found["evidence"] = evidence.held_bytes
        if evidence.size != size[1:]:
            found |= _seen_bytes(outline, evidence, size[1] * size[2])
    if evidence.size != size[1:]:
        found["small video"] = footage.volume_bytes(size[1:])
    return found


def _carry(standing: _Standing, config: TrainConfig, outline: Outline, *, evidence: EvidenceSize, threads: int) -> None:
    # Masks that are read stay until the task is made, all of them and the held-out ones once more.
    masks = [count * outline.footage.native_pixels for count in (outline.known, outline.known - len(outline.labelled_frames))]
    standing.stay("evidence", evidence.held_bytes)
    on_disk = [evidence.returned_bytes]
    on_disk += [evidence.moved_bytes] if moves(evidence, config.evidence) else []
    if asks_looks(evidence, config.evidence):
        on_disk += [ground_bytes(evidence, config.evidence.looks), recognised_bytes(evidence, config.evidence.looks)]
    beside = sum(size for size in on_disk if storage.on_disk(size))
    for phase, more in evidence_phases(evidence, config.evidence, threads).items():
        standing.reach(phase, more, *masks)
    standing.disk += beside


def _disk(config: TrainConfig, videos: list[Outline], *, flows: bool, carries: bool, weights: int) -> dict[str, int]:
    keeps = config.evidence.cache and config.task == "one_video"
    found: dict[str, int] = {}
    for video in videos:
        parts = evidence_disk(video.evidence_size(config), config.evidence, keeps=keeps and carries) if flows else {}
        footage = video.footage
        parts["results"] = output_disk(footage.native_size, footage.frames, classes=video.classes, config=config.output)
        for name, size in parts.items():
            found[name] = found.get(name, 0) + size
    return found | {"checkpoints": CHECKPOINTS * weights, "results": found.pop("results")}
