"""Takes from a process what decoding does not need: memory and time without bound, the network, writing, other processes.

Where the system has seccomp (Linux on x86-64 and ARM64), only the calls listed here are left; elsewhere resources are limited.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import time
from contextlib import suppress

OPEN_FILES = 128
"""Files at a time: a folder of frames is read by a few threads, and Python's own modules are files, too."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NEW_THREAD = 0x10000
"""Flag of clone: a thread of this process, not another process."""
DUPLICATE = 1030
"""F_DUPFD_CLOEXEC of fcntl. What it has beside this and the flags could send signals to others."""

# Numbers of x86-64 and of ARM64, -1 where there is no such call.
ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, -1), "fstat": (5, 80), "lstat": (6, -1), "poll": (7, -1),
    "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "access": (21, -1), "select": (23, -1), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23),
    "nanosleep": (35, 101), "getpid": (39, 172), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211),
    "recvmsg": (47, 212), "exit": (60, 93), "uname": (63, 160), "ftruncate": (77, 46), "getcwd": (79, 17), "readlink": (89, -1),
    "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179), "getuid": (102, 174),
    "getgid": (104, 176), "setrlimit": (160, 164), "geteuid": (107, 175), "getegid": (108, 177), "sigaltstack": (131, 132),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123), "getdents64": (217, 61),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "newfstatat": (262, 79),
    "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99),
    "getrandom": (318, 278), "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293), "faccessat2": (439, 439),
}  # fmt: skip

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
ALLOW, REFUSE, ABSENT = 0x7FFF0000, 0x50000 | 1, 0x50000 | 38
"""What the filter answers; EPERM and ENOSYS: a library that misses a call takes an older one."""
LOAD, MASK, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
"""Instructions of the filter: load a word of the call, and it with a mask, compare, answer."""
CALL, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where they lie in what the filter sees; an argument takes 8 bytes, of which the lower 4 count here."""

Instruction = tuple[int, int, int, int]


def limit(memory: int, files: bool = False) -> None:
    """Limits this process for good. memory: bytes of its address space. files: it may write to files that are open already."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if not files:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        _control(PR_SET_NO_NEW_PRIVS, 1)
        _control(PR_SET_DUMPABLE, 0)
        _filter_calls()
    with suppress(ValueError, OSError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def address_space() -> int:
    """Returns the bytes of address space that this process has now; where the system does not say, a generous guess."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 4 << 30


def allow_seconds(seconds: int) -> None:
    """Lets the process compute for so many more seconds, after which the system ends it with SIGXCPU."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, most))


def die_with_parent(parent: int) -> None:
    """Ends this process when the one that started it ends. parent: its number."""
    if sys.platform == "linux":
        _control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(0)


def filters_calls() -> bool:
    """Whether the filter of system calls is known for this machine."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64") and sys.maxsize > 2**32


def _filter_calls() -> None:
    """Installs the filter. A system that was built without it goes on without."""
    if not filters_calls():
        return
    program = b"".join(struct.pack("=HBBI", *each) for each in _program(platform.machine() == "aarch64"))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    filled = Program(len(program) // 8, program)
    with suppress(OSError):
        _control(PR_SET_SECCOMP, 2, ctypes.addressof(filled))


def _program(arm: bool) -> list[Instruction]:
    """Returns the filter: calls that are allowed, calls of which an argument is looked at, all others absent."""
    machine = 0xC00000B7 if arm else 0xC000003E
    clone, fcntl, openat, prlimit, tgkill = (220, 25, 56, 261, 131) if arm else (56, 72, 257, 302, 234)
    program: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, machine), (RETURN, 0, 0, ABSENT), (LOAD, 0, 0, CALL)]
    for numbers in ALLOWED.values():
        if (number := numbers[arm]) >= 0:
            program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    program += _where(clone, argument=0, mask=NEW_THREAD, values=[NEW_THREAD])
    program += _where(fcntl, argument=1, mask=0xFFFFFFFF, values=[1, 2, 3, DUPLICATE])
    program += _where(openat, argument=2, mask=WRITING, values=[0])
    program += _where(prlimit, argument=0, mask=0xFFFFFFFF, values=[0])  # its own limits
    program += _where(tgkill, argument=0, mask=0xFFFFFFFF, values=[os.getpid()])
    if not arm:
        program += _where(2, argument=1, mask=WRITING, values=[0])  # open
    return [*program, (RETURN, 0, 0, ABSENT)]


def _where(call: int, *, argument: int, mask: int, values: list[int]) -> list[Instruction]:
    """Returns the part of the filter that allows a call where an argument has one of these values under a mask."""
    tests: list[Instruction] = [(LOAD, 0, 0, ARGUMENTS + 8 * argument), (MASK, 0, 0, mask)]
    for value in values:
        tests += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    tests.append((RETURN, 0, 0, REFUSE))
    return [(EQUAL, 0, len(tests), call), *tests]


def _control(option: int, value: int, address: int = 0) -> None:
    """Calls prctl; raises OSError where it fails."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(address), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
