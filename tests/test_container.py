"""What the control groups of a process leave of memory and cores, told from files as the kernel writes them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from revseg.container import VERSION_2, cores_in_container, free_in_container, groups

GIB = 1 << 30
UNLIMITED = 0x7FFFFFFFFFFFF000
"""What version 1 says where there is no limit."""


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def version_2(folder: Path, limit: object, usage: int, reclaimable: int = 0) -> None:
    write(folder / "memory.max", limit)
    write(folder / "memory.current", usage)
    write(folder / "memory.stat", f"anon 1\ninactive_file {reclaimable}\nactive_file 9\nfile_mapped 9")


def version_1(folder: Path, limit: int, usage: int, reclaimable: int = 0) -> None:
    write(folder / "memory.limit_in_bytes", limit)
    write(folder / "memory.usage_in_bytes", usage)
    inactive = reclaimable // 2
    files = f"inactive_file {inactive}", f"active_file {reclaimable - inactive + 5}", "mapped_file 5"
    write(folder / "memory.stat", "\n".join(["inactive_file 7", *(f"total_{name}" for name in files)]))


def mounted(root: Path, groups: str, mounts: str) -> None:
    write(root / "proc/self/cgroup", groups)
    write(root / "proc/self/mountinfo", mounts)


V2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 24 0:31 {shown} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def test_the_limit_of_a_group_counts_without_what_the_kernel_can_drop(tmp_path: Path) -> None:
    mounted(tmp_path, "0::/", V2)
    version_2(tmp_path / "sys/fs/cgroup", 4 * GIB, 3 * GIB, reclaimable=GIB)
    assert free_in_container(tmp_path) == 2 * GIB


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    mounted(tmp_path, "0::/slice/job/step", V2)
    top = tmp_path / "sys/fs/cgroup"
    version_2(top / "slice", 8 * GIB, 2 * GIB)
    version_2(top / "slice/job", 2 * GIB, GIB + 5)
    version_2(top / "slice/job/step", "max", GIB)
    assert free_in_container(tmp_path) == GIB - 5


def test_version_1_beside_an_empty_version_2(tmp_path: Path) -> None:
    mounted(tmp_path, "4:cpu,memory:/docker/a\n0::/", f"{V2}\n{V1.format(shown='/')}")
    version_1(tmp_path / "sys/fs/cgroup/memory/docker/a", 2 * GIB, GIB, reclaimable=7)
    version_1(tmp_path / "sys/fs/cgroup/memory", UNLIMITED, 3 * GIB)
    assert free_in_container(tmp_path) == GIB + 7


@pytest.mark.parametrize("shown", ["/docker/a", "/"])
def test_a_container_that_sees_its_own_group_as_the_top(tmp_path: Path, shown: str) -> None:
    """The path counts from the real top; what is mounted begins at the group."""
    mounted(tmp_path, "4:memory:/docker/a/inner", V1.format(shown=shown))
    version_1(tmp_path / "sys/fs/cgroup/memory", GIB, GIB // 4)
    assert free_in_container(tmp_path) == GIB - GIB // 4


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    mounted(tmp_path, "0::/", V2)
    version_2(tmp_path / "sys/fs/cgroup", GIB, 2 * GIB)
    assert free_in_container(tmp_path) == 0


def test_without_a_limit_or_without_groups_the_machine_counts(tmp_path: Path) -> None:
    assert free_in_container(tmp_path) is None
    mounted(tmp_path, "0::/", V2)
    version_2(tmp_path / "sys/fs/cgroup", "max", GIB)
    assert free_in_container(tmp_path) is None
    found = free_in_container()
    assert found is None or found >= 0


def test_a_group_within_a_container_that_sees_its_own_as_the_top(tmp_path: Path) -> None:
    mounted(tmp_path, "4:memory:/docker/a/inner", V1.format(shown="/docker/a"))
    version_1(tmp_path / "sys/fs/cgroup/memory", 4 * GIB, GIB)
    version_1(tmp_path / "sys/fs/cgroup/memory/inner", GIB, GIB // 4)
    assert free_in_container(tmp_path) == GIB - GIB // 4


CPU_V1 = "37 24 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"


def test_the_cores_of_a_group(tmp_path: Path) -> None:
    assert cores_in_container(tmp_path) is None
    mounted(tmp_path, "0::/slice/job", V2)
    top = tmp_path / "sys/fs/cgroup"
    write(top / "slice/job/cpu.max", "max 100000")
    assert cores_in_container(tmp_path) is None
    write(top / "slice/cpu.max", "250000 100000")
    assert cores_in_container(tmp_path) == 2.5
    write(top / "slice/job/cpu.max", "50000 100000")
    assert cores_in_container(tmp_path) == 0.5


def test_the_cores_of_a_group_of_version_1(tmp_path: Path) -> None:
    mounted(tmp_path, "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a", f"{CPU_V1}\n{V1.format(shown='/')}")
    group = tmp_path / "sys/fs/cgroup/cpu/docker/a"
    write(group / "cpu.cfs_quota_us", -1)
    write(group / "cpu.cfs_period_us", 100000)
    assert cores_in_container(tmp_path) is None
    write(group / "cpu.cfs_quota_us", 400000)
    assert cores_in_container(tmp_path) == 4


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """A real group, of either version, that may take half of a core's time."""
    version, parent = next(groups("cpu"), (None, Path("/nowhere")))
    group = parent / f"revseg-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("cpu.max" if version is VERSION_2 else "cpu.cfs_quota_us")).write_text("50000")
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    group.rmdir()


def test_pytorch_has_as_many_threads_as_its_group_has_cores(half_a_core: Path) -> None:
    code = f"""
import os
open("{half_a_core}/cgroup.procs", "w").write(str(os.getpid()))
import torch
from revseg.device import choose_device
before = torch.get_num_threads()
choose_device("cpu")
print(before, torch.get_num_threads())
"""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for chosen, expected in (({}, 1), ({"OMP_NUM_THREADS": "2"}, 2)):
        run = subprocess.run([sys.executable, "-c", code], env=clean | chosen, capture_output=True, text=True, check=True)
        assert int(run.stdout.split()[1]) == expected
