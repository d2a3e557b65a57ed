"""What a process that decodes cannot do any more."""

import subprocess
import sys
from pathlib import Path

import pytest

from revseg.video.limits import filters_calls

ATTEMPTS = {
    "open a connection": "socket.socket()",
    "make a file": "open(folder / 'new', 'w')",
    "write to a file": "open(folder / 'there', 'a').write('more')",
    "delete a file": "(folder / 'there').unlink()",
    "rename a file": "(folder / 'there').rename(folder / 'new')",
    "make a folder": "(folder / 'new').mkdir()",
    "start a process": "os.fork()",
    "start a program": "os.execv(sys.executable, ['python'])",
    "send a signal": "os.kill(os.getppid(), 0)",
    "change the limits of another process": "resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
    "trace another process": "check(ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0))",
}
PROGRAM = """
import ctypes, os, resource, socket, sys, threading
from pathlib import Path
from revseg.video.limits import allow_seconds, limit
folder = Path(sys.argv[1])
def check(result):
    if result: raise OSError(ctypes.get_errno(), "refused")
limit(4 << 30)
"""


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM + program, str(folder)], capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not filters_calls(), reason="this system filters no calls")
def test_what_it_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("content")
    tries = [f"try: {code}; print({what!r})\nexcept OSError: pass\n" for what, code in ATTEMPTS.items()]
    done = run(tmp_path, "".join(tries) + "print('end')")
    assert done.stdout.splitlines() == ["end"], done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "content"


def test_what_it_still_can(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("content")
    done = run(
        tmp_path,
        "thread = threading.Thread(target=lambda: print((folder / 'there').read_text()))\nthread.start(); thread.join()\n"
        "print(os.listdir(folder))",
    )
    assert done.stdout == "content\n['there']\n", done.stderr


def test_memory_ends(tmp_path: Path) -> None:
    assert "MemoryError" in run(tmp_path, "bytearray(5 << 30)").stderr


def test_time_ends(tmp_path: Path) -> None:
    assert run(tmp_path, "allow_seconds(0)\nwhile True: pass").returncode == -24  # SIGXCPU
