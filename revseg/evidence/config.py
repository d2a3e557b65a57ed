"""Settings of the evidence: optical flow, labels carried along it, motion, and how they are weighed and smoothed."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any


@dataclass(frozen=True)
class FlowConfig:
    """Settings of the optical flow (``Flow``): DIS, and how far it is trusted."""

    method: str = "auto"
    """What finds it: compiled (C) or opencv, on the CPU, or torch, on the device of the run; auto: torch where that is a GPU, or
    else compiled, and opencv where there is no C compiler."""
    height: int = 480
    """Lines at which labels are carried along; those of the network if they are more, those of the video if they are fewer."""
    least_height: int = 384
    """Frames of fewer lines are enlarged for the flow, by a whole number, to at least so many: it matches patches of 8 pixels.
    Their longer side becomes no more than 8 times as long."""
    preset: str = "medium"
    """What DIS starts from: ultrafast, fast or medium. The next three settings take precedence over it."""
    finest_scale: int = 0
    """Between neighbouring frames 0 matches patches down to the full resolution, 1 to half of it (a quarter of the time), 2 to a
    quarter."""
    far_finest_scale: int = 1
    """The same between frames more than two apart; between those two apart flow is composed of that between neighbours."""
    refinement: int = 0
    """Iterations in which the flow is made smooth; 0: none. Of OpenCV alone, which then finds the flow on a GPU's machine too."""
    reach: float = 16.0
    """Error of the way there and back, in pixels of the enlarged frames, at which the agreement has fallen to 1/e."""
    contrast: float = 10.0
    """Difference of colour, of 255, at which the agreement has fallen to 1/e."""
    blur: int = 3
    """Side of the window, odd, in which colours are blurred before they are compared; 1: not at all."""
    least: float = 1e-3
    """The agreement is nowhere less than this, so that where no flow is to be trusted the better one still counts more."""

    @property
    def by_c(self) -> bool:
        """Whether what is compiled finds it on the CPU, where that can be."""
        return self.method in ("auto", "compiled")

    def __post_init__(self) -> None:
        _whole("flow.height", self.height, least=1)
        _whole("flow.least_height", self.least_height, least=1)
        _one_of("flow.preset", self.preset, ("ultrafast", "fast", "medium"))
        _one_of("flow.method", self.method, ("auto", "compiled", "opencv", "torch"))
        _whole("flow.finest_scale", self.finest_scale, least=0, most=5)
        _whole("flow.far_finest_scale", self.far_finest_scale, least=0, most=5)
        _whole("flow.refinement", self.refinement, least=0)
        if self.method == "torch" and self.refinement:
            raise ValueError(
                f"evidence.flow.refinement is {self.refinement}, but evidence.flow.method=torch does not refine; set it to 0, or "
                "evidence.flow.method=opencv"
            )
        _positive("flow.reach", self.reach)
        _positive("flow.contrast", self.contrast)
        _whole("flow.blur", self.blur, least=1)
        if self.blur % 2 == 0:
            raise ValueError(f"evidence.flow.blur is {self.blur}; give an odd number, so that the window has a middle")
        _between("flow.least", self.least, 0, most=1)


@dataclass(frozen=True)
class StrokesConfig:
    """How strokes and points become labels of whole frames (``spread``), where no frame is labelled wholly."""

    spread: bool = True
    """Whether they do, by colour; else optical flow has nothing to carry along, and the run stops."""
    height: int = 240
    """Lines at which objects are cut out, at most."""
    iterations: int = 5
    """Iterations of GrabCut."""
    margin: int = 1
    """Pixels to both sides of a contour that stay unknown."""

    def __post_init__(self) -> None:
        _whole("strokes.height", self.height, least=1)
        _whole("strokes.iterations", self.iterations, least=1, most=100)
        _whole("strokes.margin", self.margin, least=0, most=100)


@dataclass(frozen=True)
class CarryConfig:
    """How much each of the two ways counts on which labels are carried to a frame (``carry``)."""

    chain: float = 1.0
    """Weight of the way from frame to frame: it drifts, but follows large motion."""
    direct: float = 1.0
    """Weight of the flow straight to the labelled frame: it does not drift, but loses what has moved far."""

    def __post_init__(self) -> None:
        _between("carry.chain", self.chain, 0, most=inf)
        _between("carry.direct", self.direct, 0, most=inf)
        if self.chain + self.direct == 0:
            raise ValueError("evidence.carry.chain and evidence.carry.direct are both 0; give one of them a positive weight")


@dataclass(frozen=True)
class MotionConfig:
    """What counts as motion of its own, beside the camera's (``motion``)."""

    quantile: float = 0.98
    """Quantile of a frame's motion that its scale is taken from."""
    share: float = 0.5
    """Share of that quantile at which a pixel is as likely to move as not."""
    least: float = 1.0
    """Least scale, in pixels of the enlarged frames: where nothing moves, what is left is the error of the flow."""
    confidence: float = 0.15
    """Confidence in motion, from 0 to 1, where it is the only evidence."""
    spacing: int = 12
    """Pixels between the displacements among which the camera's motion is found."""
    tolerance: float = 1.0
    """Pixels by which a displacement may differ from the camera's motion and still belong to it."""
    follows: float = 0.8
    """Less than this share of the ground that could follow one camera follows that of the whole frame: then that is an object's,
    and the ground's is taken, where looks are asked. 0: never."""

    def __post_init__(self) -> None:
        _between("motion.quantile", self.quantile, 0, most=1)
        _positive("motion.share", self.share)
        _positive("motion.least", self.least)
        _between("motion.confidence", self.confidence, 0, most=1)
        _whole("motion.spacing", self.spacing, least=1)
        _positive("motion.tolerance", self.tolerance)
        _between("motion.follows", self.follows, 0, most=1)


@dataclass(frozen=True)
class LikelihoodConfig:
    """How carried labels are weighed with how the labelled classes move (``MotionLikelihood``)."""

    enabled: bool = True
    """Whether they are; without, motion is not computed."""
    bins: int = 8
    """Bins of the histogram of motion within a class, at most 256."""
    floor: float = 0.01
    """Added to every density: how far a motion that was never seen in a class counts against it."""
    least: float = 0.02
    """No carried probability counts as less, so that motion is always heard."""
    trust: float = 0.1
    """Carried labels count with confidence^trust, what is expected of an unknown pixel with the rest."""
    prior: float = 1 / 3
    """A class is expected in proportion to its share of the labels to this power; 0: all classes alike."""

    def __post_init__(self) -> None:
        _whole("likelihood.bins", self.bins, least=1, most=256)
        _positive("likelihood.floor", self.floor)
        if not 0 < self.least < 1:
            raise ValueError(f"evidence.likelihood.least is {self.least}; give a number between 0 and 1")
        _between("likelihood.trust", self.trust, 0, most=inf)
        _between("likelihood.prior", self.prior, 0, most=inf)


@dataclass(frozen=True)
class LooksConfig:
    """How the evidence is weighed with what the classes look like in the video (``Looks``)."""

    power: float = 0.75
    """Power of the looks where nothing else can be trusted (``looks``). 0: they are not asked."""
    trust: float = 0.1
    """Confidence in the evidence where looks are sure of an object; less where they are less sure."""
    height: int = 240
    """Lines at which they are seen, at most."""
    contour_height: int = 480
    """Lines at which they are seen near contours, at most. No more than `height`: not anew."""
    frames: int = 8
    """How many frames without labels are learned from, where the evidence is sure."""
    sure: float = 0.8
    """Probability from which on it is."""
    background: bool = True
    """Whether it is seen how a pixel differs from what other frames show behind it (``Background``)."""
    hidden: int = 48
    """Width of the classifier's two hidden layers."""
    steps: int = 300
    """Steps that it learns in."""

    def __post_init__(self) -> None:
        _between("looks.power", self.power, 0, most=inf)
        _between("looks.trust", self.trust, 0, most=1)
        _whole("looks.height", self.height, least=1)
        _whole("looks.contour_height", self.contour_height, least=1)
        _whole("looks.frames", self.frames, least=0)
        _between("looks.sure", self.sure, 0, most=1)
        _whole("looks.hidden", self.hidden, least=1)
        _whole("looks.steps", self.steps, least=1)

    def sees_contours_anew(self, lines: int) -> bool:
        """Whether contours of frames of so many lines are seen in more of them than the rest."""
        return self.height < min(lines, self.contour_height)


@dataclass(frozen=True)
class PseudoLabelsConfig:
    """How frames of which the evidence is sure are carried along once more, like labelled ones (``PseudoLabels``)."""

    frames: int = 0
    """How many, where one frame is labelled; 0: none. Four serve objects that bend or are thin, and cost rigid ones a little."""

    def __post_init__(self) -> None:
        _whole("pseudo_labels.frames", self.frames, least=0)


@dataclass(frozen=True)
class PresenceConfig:
    """When an object that labels show is taken for gone (``presence``)."""

    speck: float = 0.01
    """Its mask is a smaller share of the least area that labels show of it; 0: never so."""
    found: float = 0.2
    """Once lost it is found again where looks are sure of this share of that area; 0: wherever its mask is no speck."""

    def __post_init__(self) -> None:
        _between("presence.speck", self.speck, 0, most=1)
        _between("presence.found", self.found, 0, most=inf)


@dataclass(frozen=True)
class SmoothingConfig:
    """How probabilities are made to agree with those of the frames around, along optical flow (``Smoothing``)."""

    sweeps: int = 5
    """Sweeps over the video; 0: nothing is smoothed."""
    hops: Any = (1, 2)
    """How many frames off the neighbours of a frame are, on both sides."""
    prior: float = 3.0
    """Weight of what is given of a frame at full confidence, beside 1 for each neighbour."""
    confidence: float = 0.1
    """Confidence in a network's predictions, from 0 to 1, where there is no evidence."""

    def __post_init__(self) -> None:
        _whole("smoothing.sweeps", self.sweeps, least=0)
        hops = tuple(self.hops) if isinstance(self.hops, list | tuple) else ()
        if (
            not hops
            or any(not isinstance(hop, int) or isinstance(hop, bool) or hop < 1 for hop in hops)
            or len({*hops}) < len(hops)
        ):
            raise ValueError(f"evidence.smoothing.hops is {self.hops}; give different whole numbers of at least 1, like [1,2]")
        _positive("smoothing.prior", self.prior)
        _between("smoothing.confidence", self.confidence, 0, most=1)


@dataclass(frozen=True)
class RefineConfig:
    """How fine evidence adds its detail to a network's coarser probabilities (``refine``)."""

    detail_trust: float = 0.1
    """Detail counts with confidence^detail_trust; 0: everywhere in full."""
    least: float = 1e-4
    """Least probability of the network, before its logarithm is taken."""

    def __post_init__(self) -> None:
        _between("refine.detail_trust", self.detail_trust, 0, most=inf)
        _positive("refine.least", self.least)


@dataclass(frozen=True)
class PoolConfig:
    """How much network and evidence count in what both say together (``pool``)."""

    of_one_frame: float = 0.05
    """The network's share where it has learned from one labelled frame; from L frames it is L / (L + 1)."""
    detail: float = 4.0
    """The network's share falls with (1 - what it cannot see)^detail; 0: not at all."""
    least: float = 1e-3
    """Least probability of both, so that neither can veto the other."""

    def __post_init__(self) -> None:
        _between("pool.of_one_frame", self.of_one_frame, 0, most=1)
        _between("pool.detail", self.detail, 0, most=inf)
        _positive("pool.least", self.least)


@dataclass(frozen=True)
class EvidenceConfig:
    """Settings of the evidence, from the flow to its part in the masks."""

    source: str = "flow"
    """flow: labels are carried along optical flow, and motion is seen by it; none: there is no evidence."""
    cache: bool = True
    """Whether flow and evidence are kept in the run folder, so that a later run computes only what has changed."""
    flow: FlowConfig = field(default_factory=FlowConfig)
    strokes: StrokesConfig = field(default_factory=StrokesConfig)
    carry: CarryConfig = field(default_factory=CarryConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    looks: LooksConfig = field(default_factory=LooksConfig)
    pseudo_labels: PseudoLabelsConfig = field(default_factory=PseudoLabelsConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    presence: PresenceConfig = field(default_factory=PresenceConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)

    def __post_init__(self) -> None:
        _one_of("source", self.source, ("flow", "none"))


def _whole(name: str, value: int, *, least: int, most: int | None = None) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"evidence.{name} is {value}; give a whole number {allowed}")


def _positive(name: str, value: float) -> None:
    if not 0 < value < inf:
        raise ValueError(f"evidence.{name} is {value}; give a positive number")


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most or value == inf:
        allowed = f"of at least {least}" if most == inf else f"from {least} to {most}"
        raise ValueError(f"evidence.{name} is {value}; give a number {allowed}")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"evidence.{name} is {value}; choose one of {', '.join(allowed)}")
