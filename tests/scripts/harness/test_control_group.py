"""A control group: a limit of memory that the kernel itself keeps."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness.control_group import control_group

from tests.scripts.groups import needs_control_groups

pytestmark = [pytest.mark.slow, needs_control_groups]

TAKE = "import sys; taken = b'1' * (int(sys.argv[1]) << 20); print('taken')"


@pytest.mark.parametrize(("megabytes", "killed"), [(20, 0), (200, 1)])
def test_who_takes_more_is_ended_by_the_kernel(megabytes: int, killed: int) -> None:
    with control_group(100 << 20) as group:
        done = subprocess.run([sys.executable, "-c", TAKE, str(megabytes)], preexec_fn=group.enter, capture_output=True)
        assert group.killed == killed
        assert (done.returncode, done.stdout) == ((-9, b"") if killed else (0, b"taken\n"))
        assert min(megabytes, 99) << 20 <= group.peak <= 100 << 20
    assert not group.folder.exists()


READ = """
import sys
from revseg.container import free_in_container
before = free_in_container()
open(sys.argv[1], "wb").write(bytes(100 << 20))
for _ in range(3):
    open(sys.argv[1], "rb").read()
print(before, free_in_container())
"""


def test_what_is_free_is_what_the_group_leaves_whatever_files_were_read(tmp_path: Path) -> None:
    with control_group(400 << 20) as group:
        program = [sys.executable, "-c", READ, tmp_path / "file"]
        done = subprocess.run(program, preexec_fn=group.enter, capture_output=True, check=True)
        assert group.peak > 200 << 20
    before, after = map(int, done.stdout.split())
    assert 300 << 20 < before < 400 << 20
    assert abs(after - before) < 10 << 20
