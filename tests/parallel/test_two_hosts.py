"""Two hosts, as network namespaces of this machine with a cable between them, which is pulled in the middle of a step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.parallel.processes import command_line, start
from tests.parallel.test_volume_training import SETTINGS, checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAMES = ("a", "b")
STEPS = 80
MORE = ("training.accumulation=2", f"training.steps={STEPS}", "training.checkpoint_every=5")
PATIENCE = 90.0
REACHED = 40.0
"""Seconds from the cut until both have told: 15 of silence, 10 to end by itself, the rest for a machine that others use."""


@dataclass(frozen=True)
class Hosts:
    """Two namespaces, each with an address and a host name of its own."""

    prefix: str

    def up(self) -> None:
        for number, name in enumerate(NAMES, 1):
            etc = self.etc(name)  # what `ip netns exec` shows as /etc
            etc.mkdir(parents=True)
            (etc / "hosts").write_text("127.0.0.1 localhost\n10.77.0.1 host-a\n10.77.0.2 host-b\n")
            ip("netns", "add", self.of(name))
            if number == 1:
                ip("-n", self.of("a"), "link", "add", "cable", "type", "veth", "peer", "name", "plug")
            else:
                ip("-n", self.of("a"), "link", "set", "plug", "netns", self.of("b"), "name", "cable")
        for number, name in enumerate(NAMES, 1):
            ip("-n", self.of(name), "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
            for link in ("lo", "cable"):
                ip("-n", self.of(name), "link", "set", link, "up")

    def down(self) -> None:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", self.of(name)], capture_output=True, check=False)
            shutil.rmtree(self.etc(name), ignore_errors=True)

    def of(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def etc(self, name: str) -> Path:
        return Path("/etc/netns") / self.of(name)

    def plug(self, state: str) -> None:
        ip("-n", self.of("a"), "link", "set", "cable", state)

    def train(self, folder: Path, name: str, run_dir: Path) -> subprocess.Popen[bytes]:
        """Starts a training on a host, with torchrun; what it prints goes into a file of the folder."""
        met = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-endpoint=host-a:29533", "--rdzv-id=two"]
        run = [sys.executable, "-m", "torch.distributed.run", *met, "-m", "revseg.train", *SETTINGS, *MORE, f"run_dir={run_dir}"]
        inside = ["ip", "netns", "exec", self.of(name), "unshare", "--uts", "sh", "-c", f'hostname host-{name}; exec "$@"', "sh"]
        with (folder / f"{run_dir.name}.{name}").open("ab") as log:
            environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            return subprocess.Popen(
                [*inside, *run], stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    made = Hosts(f"revseg-{os.getpid()}")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    try:
        made.up()
    except subprocess.CalledProcessError as error:
        made.down()
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield made
    made.down()


def await_(condition, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_a_cable_that_is_pulled_ends_both_hosts_and_the_run_goes_on(hosts: Hosts, tmp_path: Path) -> None:
    def both(run_dir: Path) -> list[subprocess.Popen[bytes]]:
        return [hosts.train(tmp_path, name, run_dir) for name in NAMES]

    def log(run_dir: Path, name: str) -> str:
        return (tmp_path / f"{run_dir.name}.{name}").read_text()

    straight, cut = tmp_path / "straight", tmp_path / "cut"
    started = start(tmp_path, 2, command_line, *SETTINGS, *MORE, f"run_dir={straight}")  # on one host
    processes = both(cut)
    await_((cut / "checkpoints" / "last.pt").exists, PATIENCE, log(cut, "a"))
    hosts.plug("down")
    for name, other in (("a", "rank 1"), ("b", "rank 0")):
        sentence = f"revseg: {other} ended without a word: killed, out of memory, or on a machine that is lost or out of reach"
        await_(lambda name=name, sentence=sentence: sentence in log(cut, name), REACHED, log(cut, name))
        assert "revseg/" not in log(cut, name).partition(sentence)[2]  # no traceback of ours
    hosts.plug("up")  # torchrun itself waits for the other host as long as the system does
    assert [process.wait(PATIENCE) for process in processes] == [1, 1]
    assert checkpoint(cut)["step"] < STEPS
    assert started.statuses() == [0, 0], started.told()

    assert [process.wait(PATIENCE) for process in both(cut)] == [0, 0], log(cut, "a") + log(cut, "b")
    assert checkpoint(cut)["step"] == checkpoint(straight)["step"] == STEPS
    torch.testing.assert_close(checkpoint(cut)["weights"], checkpoint(straight)["weights"], rtol=0, atol=0)
