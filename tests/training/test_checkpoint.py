"""A checkpoint comes back as it was, and nothing else passes for one."""

import errno
from pathlib import Path

import pytest
import torch

from revseg import RevSegNet
from revseg.network.config import NetworkConfig
from revseg.training.checkpoint import check_same_architecture, load, network_from, save
from tests.training.checkpoints import SETTINGS, checkpoint_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "last.pt"


def test_round_trip(path: Path) -> None:
    net = RevSegNet(**SETTINGS)
    save(checkpoint_of(net), path)
    loaded = load(path)
    assert (loaded.step, loaded.seconds, loaded.height) == (7, 1.5, 96)
    assert loaded.network.depths == (1, 1)
    torch.testing.assert_close(network_from(loaded, torch.device("cpu")).state_dict(), net.state_dict())
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


def test_all_that_a_training_needs_comes_back(path: Path) -> None:
    net = RevSegNet(**SETTINGS)
    recipe = {"evidence.source": "flow", "evidence.smoothing.hops": [1, 2], "placements": 4, "data.height": None}
    given = checkpoint_of(net, label_count=3, end=9, losses=[1.0, 0.5], recipe=recipe)
    save(given, path)
    loaded = load(path)
    assert (loaded.label_count, loaded.end, loaded.losses, loaded.recipe) == (3, 9, [1.0, 0.5], recipe)
    assert loaded.optimizer == given.optimizer
    save(checkpoint_of(net), path)
    loaded = load(path)
    assert (loaded.label_count, loaded.end, loaded.losses, loaded.recipe) == (None, None, [], {})


def test_failed_save_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevSegNet(**SETTINGS)
    save(checkpoint_of(net), path)
    before = path.read_bytes()

    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save(checkpoint_of(RevSegNet(**SETTINGS)), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


def test_truncated_anywhere(path: Path) -> None:
    save(checkpoint_of(RevSegNet(**SETTINGS)), path)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"last.pt is not a revseg checkpoint, or it is truncated"):
            load(path)


def test_not_a_checkpoint(path: Path, tmp_path: Path) -> None:
    for content in (b"some text\n" * 100, b"\x80\x02}q\x00.", b"root:x:0:0"):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(ValueError, match="is not a revseg checkpoint"):
            load(tmp_path / "file")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "file")
    with pytest.raises(ValueError, match="is not a revseg checkpoint"):
        load(tmp_path / "file")
    torch.save(RevSegNet(**SETTINGS), tmp_path / "file")  # whole pickled objects could run code
    with pytest.raises(ValueError, match="is not a revseg checkpoint"):
        load(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        load(path)


def test_of_another_version(path: Path) -> None:
    path.parent.mkdir()
    torch.save({"format": "revseg checkpoint", "version": 99}, path)
    with pytest.raises(ValueError, match="of version 99, this revseg reads version 4"):
        load(path)


def test_architectures(path: Path) -> None:
    saved = checkpoint_of(RevSegNet(**SETTINGS))
    spelt = SETTINGS | {"depth": [1, 1], "rank": (3, 3), "state_dtype": "int16"}
    check_same_architecture(saved, NetworkConfig(**spelt), path)
    with pytest.raises(ValueError, match=r"network.levels=2 \(there 1\), network.depth="):
        check_same_architecture(saved, NetworkConfig(**SETTINGS | {"levels": 2}), path)


def test_channels_of_the_video_are_part_of_the_architecture(path: Path) -> None:
    save(checkpoint_of(RevSegNet(**SETTINGS, in_channels=5)), path)
    assert load(path).network.video_channels == 5
    with pytest.raises(ValueError, match=r"network\.in_channels=4 \(there 5\)"):
        check_same_architecture(load(path), NetworkConfig(**SETTINGS, in_channels=4), path)
    before = checkpoint_of(RevSegNet(**SETTINGS))  # that names none is of RGB
    check_same_architecture(before, NetworkConfig(**SETTINGS, in_channels=3), path)
