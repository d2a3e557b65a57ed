"""Names from a list stay in their folder."""

from pathlib import Path

import pytest

from revseg.runs.names import inside


@pytest.mark.parametrize("name", ["libby", "my video.1", "...", "..x", "ä", "-", "a" * 300])
def test_names(name: str) -> None:
    assert inside(name, Path("list.txt")) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../..", "/etc", "a/b", "..\\x", "a\0b"])
def test_paths(name: str) -> None:
    with pytest.raises(ValueError, match=r"^list\.txt lists .* is a path: write the names of folders alone"):
        inside(name, Path("list.txt"))
