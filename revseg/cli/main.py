"""The command line of the entry points: Hydra's settings, file names as they are, errors in one sentence.

    revseg-train experiment=davis training.steps=500      settings and groups
    revseg-predict "my video, take 2.mp4" height=96       a file; what follows -- is one in any case

The value of a setting that is text is taken as it is typed, up to the end of the argument: a file name needs
no quotes beyond the shell's. Hydra's compose API reads everything else.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import torch

from revseg.cli.help import usage
from revseg.cli.settings import Settings
from revseg.runs.interruption import Interrupted


def run(function: Callable[[Any], None], config: str, positional: str | None = None) -> None:
    """Call `function` with its configuration, of the type that annotates its argument `config`.

    config: name of the primary file in configs/; positional: the setting that a bare argument gives.
    """
    try:
        _run(function, config, positional, sys.argv[1:])
    except Interrupted as stop:
        _say(f"{stop}; to go on: {_command_to_resume(stop.run_dir)}")
        sys.exit(128 + stop.signum)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except (ValueError, OSError, ArithmeticError, torch.OutOfMemoryError) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        _say(_sentence(error))
        sys.exit(1)


def _run(function: Callable[[Any], None], config: str, positional: str | None, arguments: list[str]) -> None:
    settings = Settings(config, get_type_hints(function)["config"])
    flags, overrides, files = split_arguments(arguments, settings, positional)
    if positional and files:
        overrides.append(settings.verbatim(positional, files[0]))
    if "--help" in flags:
        print(usage(_program(), function, settings, positional, overrides))
    elif "--cfg" in flags:
        print(settings.text(overrides), end="")
    else:
        function(settings.compose(overrides))


def split_arguments(arguments: list[str], settings: Settings, positional: str | None) -> tuple[set[str], list[str], list[str]]:
    """Flags, Hydra overrides, file names."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags: set[str] = set()
    overrides: list[str] = []
    files = arguments[end + 1 :]
    rest = iter(arguments[:end])
    for argument in rest:
        if argument in ("-h", "--help"):
            flags.add("--help")
        elif argument == "--cfg=job" or (argument in ("-c", "--cfg") and next(rest, None) == "job"):
            flags.add("--cfg")
        elif positional and not settings.knows(argument) and _looks_like_a_file(argument):
            files.append(argument)
        elif argument.startswith("-"):
            raise ValueError(f"unknown option {argument}; there are --help and --cfg job, all else is key=value")
        else:
            overrides.append(settings.override(argument))
    if len(files) > (1 if positional else 0):
        room = "give one, in quotes if its name has spaces" if positional else "settings are written key=value"
        raise ValueError(f"did not expect the arguments {', '.join(map(repr, files))}; {room}")
    return flags, overrides, files


def _looks_like_a_file(argument: str) -> bool:
    return "=" not in argument and not argument.startswith("-") or Path(argument).exists()


def _sentence(error: BaseException) -> str:
    """OSError prints as "[Errno 2] No such file or directory: 'x'": turned round, the file comes first."""
    if isinstance(error, torch.OutOfMemoryError):
        first = str(error).split(". ")[0]
        return f"out of memory: {first}; lower data.height, network.channels or network.rank"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _command_to_resume(run_dir: Path) -> str:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("run_dir=")]
    return f"{_program()} {shlex.join([*arguments, f'run_dir={run_dir}'])}"


def _program() -> str:
    """As typed: revseg-train, or python -m revseg.train."""
    path = Path(sys.argv[0])
    return path.name if path.suffix != ".py" else f"python -m revseg.{path.stem}"


def _say(sentence: str) -> None:
    print(f"revseg: {sentence}", file=sys.stderr)
