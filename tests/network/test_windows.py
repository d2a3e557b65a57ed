"""Windows along T: they cover a video, share frames, and what the network finds in each is joined without a seam."""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.inference import predict_probabilities
from revseg.network.windows import weights_of, windows_of


@pytest.mark.parametrize("frames", [1, 2, 5, 40, 101, 1000])
@pytest.mark.parametrize("window", [1, 2, 3, 8, 33, 100])
def test_windows_cover_a_video_and_share_frames(frames: int, window: int) -> None:
    windows = windows_of(frames, window)
    assert {len(own) for own in windows} == {min(frames, window)}
    assert windows[0].start == 0
    assert windows[-1].stop == frames
    assert all(later.start <= own.stop - window // 4 for own, later in zip(windows, windows[1:], strict=False))
    assert all(later.start > own.start for own, later in zip(windows, windows[1:], strict=False))


def test_no_window_is_needed_where_all_frames_are_seen() -> None:
    assert windows_of(7, None) == windows_of(7, 7) == windows_of(7, 100) == [range(7)]


@pytest.mark.parametrize(("frames", "window"), [(5, 1), (40, 16), (101, 33)])
def test_weights_fade_from_one_window_into_the_next(frames: int, window: int) -> None:
    windows, total = windows_of(frames, window), torch.zeros(frames)
    for own, weights in zip(windows, weights_of(windows), strict=True):
        assert weights.min() > 0
        total[own.start : own.stop] += weights
    torch.testing.assert_close(total, torch.ones(frames))
    first, second = weights_of(windows)[:2]
    shared = windows[0].stop - windows[1].start
    if shared:
        assert (first[-shared:].diff() < 0).all()
        assert (second[:shared].diff() > 0).all()


def test_probabilities_of_windows_are_those_of_the_network_on_each() -> None:
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3, convolution_dtype="float32")
    torch.nn.init.normal_(net.head.weight)
    video = torch.randint(0, 256, (3, 11, 8, 6), dtype=torch.uint8)
    offsets = [(0, 0, 0), (1, 0, 1)]
    found = torch.cat([part for _, part in predict_probabilities(net, video, offsets, window=4)], 1)
    expected = torch.zeros_like(found)
    windows = windows_of(11, 4)
    assert len(windows) == 4
    for own, weights in zip(windows, weights_of(windows), strict=True):
        alone = torch.cat([part for _, part in predict_probabilities(net, video[:, own.start : own.stop], offsets)], 1)
        expected[:, own.start : own.stop] += weights[:, None, None] * alone
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(found.sum(0), torch.ones(11, 8, 6), atol=5e-3, rtol=0)
    whole = torch.cat([part for _, part in predict_probabilities(net, video, offsets)], 1)
    assert not torch.allclose(found, whole, atol=2e-3)
