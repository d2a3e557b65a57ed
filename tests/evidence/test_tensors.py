"""Evidence on tensors is that on arrays: each operation, and all of them together; and it stays where it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carry import Carried, carry
from revseg.evidence.config import FlowConfig
from revseg.evidence.flow import Flow
from revseg.evidence.store import FlowStore, HeldRecords
from tests.evidence.made import EVIDENCE, FLOW, HEIGHT, WIDTH, flow_of, moving, running

ON_TENSORS = replace(FLOW, method="torch")


@pytest.fixture
def both() -> tuple[Flow, Flow]:
    """The same video on arrays and on tensors."""
    volume = running(3, 2)
    return flow_of(volume), flow_of(volume, ON_TENSORS)


def positions(flow: Flow) -> list:
    """Two of them, that lead beyond the border too."""
    generator = torch.Generator().manual_seed(0)
    shifts = [6 * torch.randn(2, HEIGHT, WIDTH, generator=generator) for _ in range(2)]
    return [flow.identity + flow.fields.field(shift) for shift in shifts]


def test_operations_agree(both: tuple[Flow, Flow]) -> None:
    found = []
    for flow in both:
        fields, (to, fro) = flow.fields, positions(flow)
        evidence = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
        results = {
            "look_up": fields.look_up(fro, to),
            "length": fields.length(fro),
            "agreement": flow.agreement(0, 1, to=to, fro=fro),
            "near": flow.agreement(0, 1, to=flow.identity, fro=flow.identity + 0.25),
            "moved": fields.moved(fields.displacement(to)),
            "from_bytes": fields.from_bytes(evidence),
            "table": fields.table(np.arange(512, dtype=np.float32).reshape(2, 256), evidence[0]),
            "grey": fields.field(torch.as_tensor(fields._grey(1))),
        }
        assert fields.to_bytes(fields.from_bytes(evidence)).equal(evidence)
        found.append({name: fields.tensor(one) for name, one in results.items()})
        assert fields.quantile(fro, 0.98) == pytest.approx(np.quantile(fields.array(fro), 0.98), rel=1e-5)
    for name, expected in found[0].items():
        # OpenCV rounds grey, and colours once they are blurred, to bytes.
        tolerance = {"grey": 1.01, "near": 0.15, "agreement": 0.15}.get(name, 2e-3)
        assert torch.allclose(found[1][name], expected, atol=tolerance), name
        assert (found[1][name] - expected).abs().mean() < max(0.02, tolerance / 10), name


def test_flow_is_that_of_opencv(both: tuple[Flow, Flow]) -> None:
    for pair in ((1, 0), (0, 1), (0, 2)):
        arrays, tensors = (flow.fields.tensor(flow.position(*pair)) for flow in both)
        assert (arrays - tensors).abs().median() < 0.05
        assert (arrays - tensors)[:, 8:-8, 8:-8].abs().mean() < 0.3


def carried(config: FlowConfig, objects: int = 1) -> tuple[Carried, torch.Tensor]:
    video, truth = moving((0, 8), objects=objects)
    flow = flow_of(video.volume, config)
    whole = replace(EVIDENCE, flow=config)
    return carry(video, objects + 1, flow=flow, config=whole, cache=EvidenceCache(None), shares=(0.5,)), truth


@pytest.mark.slow
@pytest.mark.parametrize("objects", [1, 2])
def test_all_of_it_agrees(objects: int) -> None:
    """Classes of nearly all pixels, and the objects as well."""
    (arrays, truth), (tensors, _) = carried(FLOW, objects), carried(ON_TENSORS, objects)
    for one, other in zip((arrays.evidence, *arrays.returned), (tensors.evidence, *tensors.returned), strict=True):
        assert other.probabilities.device.type == "cpu"
        assert (one.probabilities.max(0).indices == other.probabilities.max(0).indices).float().mean() > 0.99
        assert (one.confidence.float() - other.confidence.float()).abs().mean() < 25
    found = tensors.evidence.probabilities.max(0).indices
    for number in range(1, objects + 1):
        assert ((found == number) & (truth == number)).sum() / ((found == number) | (truth == number)).sum() > 0.9


def test_auto_is_what_the_device_is_for() -> None:
    volume = torch.zeros(3, 1, 32, 32, dtype=torch.uint8)
    gpu, cpu = (FlowStore(device=torch.device(name)) for name in ("cuda", "cpu"))
    cases = [("auto", gpu, 0), ("auto", cpu, 0), ("auto", gpu, 5), ("opencv", gpu, 0), ("torch", cpu, 0)]
    flows = [Flow(volume, FlowConfig(method=method, refinement=times), store=store) for method, store, times in cases]
    assert [flow.on_tensors for flow in flows] == [True, False, False, False, True]


def test_the_methods_share_no_key() -> None:
    volume = running(2, 1)
    assert flow_of(volume, ON_TENSORS).key != flow_of(volume).key


def test_what_is_held_keeps_to_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revseg.evidence.store.free_memory", lambda device: 4 * 2 * (2 * 6 * 8 * 2))
    records = HeldRecords(torch.device("cpu"), 6, 8)
    for number in range(3):
        records.put((number, number + 1), torch.full((2, 6, 8), number, dtype=torch.int16))
    assert [pair in records for pair in ((0, 1), (1, 2), (2, 3))] == [True, True, False]
    assert records.room == 0
    assert records.get((2, 3)) is None
    assert records.get((1, 2)).eq(1).all()


class Elsewhere(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts copies of fields between devices and Python: each would make a GPU wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "is_nonzero"):
            self.waits.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_nothing_waits_for_the_device_within_flow_agreement_and_smoothing() -> None:
    flow = flow_of(running(3, 2), ON_TENSORS)
    with Elsewhere() as seen:
        found = flow._find([(0, 1), (1, 0)])
        to, fro = map(flow.fields.moved, found)
        flow.fields.to_bytes(flow.agreement(0, 1, to=to, fro=fro) * flow.fields.look_up(fro, to))
    assert seen.waits == []
