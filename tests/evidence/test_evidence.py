"""Evidence in bytes, at any size."""

import pytest
import torch
import torch.nn.functional as F

from revseg.evidence.evidence import Evidence


def evidence(classes: int = 2, frames: int = 3, size: tuple[int, int] = (6, 9)) -> tuple[Evidence, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    planes = torch.randint(0, 256, (classes + 1, frames, *size), dtype=torch.uint8, generator=generator)
    return Evidence.from_planes(planes), planes


@pytest.mark.parametrize("classes", [2, 4])
def test_shapes_and_planes(classes: int) -> None:
    found, planes = evidence(classes)
    assert (found.classes, found.frames, found.size) == (classes, 3, (6, 9))
    assert found.planes().equal(planes)
    assert found.probabilities.data_ptr() == planes.data_ptr()  # no copy
    assert found.confidence.equal(planes[-1])


def test_blank_knows_nothing() -> None:
    blank = Evidence.blank(3, 2, (4, 5))
    assert blank.planes().shape == (4, 2, 4, 5)
    assert not blank.planes().any()


def test_a_frame_is_from_0_to_1() -> None:
    found, planes = evidence()
    probabilities, confidence = found.frame(1)
    assert probabilities.numpy() == pytest.approx(planes[:-1, 1].numpy() / 255)
    assert confidence.numpy() == pytest.approx(planes[-1, 1].numpy() / 255)


@pytest.mark.parametrize("size", [(3, 3), (2, 4), (6, 9), (12, 18)])
def test_another_size_is_means_over_areas(size: tuple[int, int]) -> None:
    found, planes = evidence()
    resized = found.resized(size)
    assert resized.size == size
    expected = [F.interpolate(part[None].float(), size, mode="area")[0].round() for part in planes.unbind(1)]
    assert resized.planes().equal(torch.stack(expected, 1).to(torch.uint8))


def test_the_same_size_is_the_same() -> None:
    found, _ = evidence()
    assert found.resized(found.size) is found


def test_no_frames() -> None:
    assert evidence(frames=0)[0].resized((3, 3)).planes().shape == (3, 0, 3, 3)


def test_shapes_have_to_fit() -> None:
    with pytest.raises(AssertionError):
        Evidence(torch.zeros(2, 3, 6, 9, dtype=torch.uint8), torch.zeros(3, 6, 8, dtype=torch.uint8))
