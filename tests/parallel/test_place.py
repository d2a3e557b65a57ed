"""What launchers say in the environment of a process."""

from __future__ import annotations

import pytest

from revseg.parallel.place import Place, first_host, place_of

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "node1", "MASTER_PORT": "29400"}
SRUN = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "2",
}


def test_torchrun() -> None:
    found = place_of({**TORCHRUN, "TORCHELASTIC_USE_AGENT_STORE": "True"})
    assert found == Place(3, 8, local_rank=1, address="node1", port=29400, hosted=True, attempt="/")


def test_srun() -> None:
    found = place_of(SRUN)
    assert found is not None
    assert (found.rank, found.world, found.local_rank, found.address) == (5, 8, 1, "gpu07")
    assert 61440 <= found.port < 65536
    other = place_of({**SRUN, "SLURM_JOB_ID": "4712"})
    assert other is not None
    assert other.port != found.port
    chosen = place_of({**SRUN, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "2000"})
    assert chosen is not None
    assert (chosen.address, chosen.port) == ("10.0.0.1", 2000)


def test_torchrun_inside_a_slurm_job_counts() -> None:
    found = place_of({**SRUN, **TORCHRUN})
    assert found is not None
    assert found.rank == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {**SRUN, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
        {name: value for name, value in SRUN.items() if name != "SLURM_STEP_NODELIST"},  # the batch script itself
    ],
)
def test_a_process_alone(environment: dict[str, str]) -> None:
    assert place_of(environment) is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"RANK": "8"}, "this process is rank 8 of 8: ranks are 0 to 7"),
        ({"RANK": "first"}, "RANK is 'first': it is a whole number where a launcher sets it"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT is 70000: give a port from 1 to 65535"),
        ({"MASTER_ADDR": ""}, "RANK and WORLD_SIZE are set, but MASTER_ADDR not: start with torchrun, or set all of them"),
    ],
)
def test_contradictions(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        place_of({**TORCHRUN, **change})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node[007-009,012],gpu3", "node007"),
        ("gpu3,node[007-009]", "gpu3"),
        ("rack[2-3]node[04,06].local", "rack2node04.local"),
        ("a-b[5]-c", "a-b5-c"),
    ],
)
def test_first_host(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
