"""The public names: each is there in a fresh process, described, typed, and on the page of public names as it is in the code."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import revseg

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api.md"
NAMES = [name for name in revseg.__all__ if name != "__version__"]
SIGNATURE = re.compile(r"^`(\w+\(.*\))`$", re.MULTILINE)


def fresh(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", revseg.__all__)
def test_a_fresh_process_imports(name: str) -> None:
    done = fresh(f"from revseg import {name} as found; import revseg; assert found is not None and {name!r} in dir(revseg)")
    assert done.returncode == 0, done.stderr


def test_importing_revseg_and_listing_its_names_loads_no_torch() -> None:
    done = fresh("import sys, revseg; dir(revseg), revseg.__all__, revseg.__version__; assert 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_a_star_brings_all_names_and_no_others() -> None:
    done = fresh("from revseg import *; print(sorted(name for name in dir() if not name.startswith('__')))")
    assert ast.literal_eval(done.stdout) == sorted(NAMES)


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Leapfrogs' from 'revseg'"):
        from revseg import Leapfrogs  # noqa: F401
    assert not hasattr(revseg, "Leapfrogs")


def test_the_names_are_those_that_a_type_checker_sees() -> None:
    tree = ast.parse(Path(revseg.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {name: getattr(revseg, name).__module__ for name in NAMES} == imported
    assert sorted(imported) == sorted(NAMES)


def own_methods(kind: type) -> list[tuple[str, Any]]:
    """The public methods and properties that a class of ours defines, and its constructor."""
    members = [(name, member) for name, member in vars(kind).items() if name == "__init__" or not name.startswith("_")]
    functions = [(name, getattr(member, "__func__", getattr(member, "fget", member))) for name, member in members]
    return [(name, function) for name, function in functions if inspect.isfunction(function)]


# What every PyTorch module or dataclass has: said once, in the class.
SAID_ELSEWHERE = {"__init__", "extra_repr"}


@pytest.mark.parametrize("name", NAMES)
def test_is_described(name: str) -> None:
    thing = getattr(revseg, name)
    text = thing.__doc__ or ""
    first = text.strip().split("\n\n")[0]
    assert re.match(r"(?!Of )[A-Z]", first), f"{name}: {first!r}"
    assert not text.startswith(f"{name}("), f"{name} has the docstring that a dataclass makes"
    for method, _ in own_methods(thing) if inspect.isclass(thing) else []:
        described = inspect.getdoc(getattr(thing, method))
        assert method in SAID_ELSEWHERE or described, f"{name}.{method} has no docstring"


@pytest.mark.parametrize("name", NAMES)
def test_is_typed(name: str) -> None:
    thing = getattr(revseg, name)
    functions = own_methods(thing) if inspect.isclass(thing) else [(name, thing)]
    for method, function in functions:
        if function.__module__ != thing.__module__:
            continue  # the constructor that typing.Protocol makes
        signature = inspect.signature(function)
        untyped = [part.name for part in signature.parameters.values() if part.annotation is part.empty]
        assert [part for part in untyped if part not in ("self", "cls")] == [], f"{name}.{method}: {untyped}"
        assert signature.return_annotation is not signature.empty, f"{name}.{method} does not say what it returns"


def sections(level: str, text: str) -> dict[str, str]:
    """The text below each heading of a level."""
    parts = re.split(rf"^{level} `?(\w+)`?$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_has_a_section_for_every_name() -> None:
    assert sorted(sections("##", PAGE.read_text(encoding="utf-8"))) == sorted(revseg.__all__)


def parameters(quoted: str) -> list[tuple[str, Any]]:
    """(name, kind) of the parameters of a signature as the page quotes it."""
    scope: dict[str, Any] = {}
    exec(f"from __future__ import annotations\nimport torch\ndef {quoted}: ...", scope)
    found = scope[quoted.partition("(")[0]]
    return [(part.name, part.kind) for part in inspect.signature(found).parameters.values()]


def defaults(quoted: str) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(f"import torch\ndef {quoted}: ...", scope)
    return {
        part.name: part.default
        for part in inspect.signature(scope[quoted.partition("(")[0]]).parameters.values()
        if part.default is not part.empty
    }


def quoted_signatures() -> list[tuple[str, str]]:
    """("Class" or "Class.method", its signature on the page)."""
    found = []
    for name, text in sections("##", PAGE.read_text(encoding="utf-8")).items():
        own, *_ = re.split(r"^### ", text, flags=re.MULTILINE)
        found += [(name, quoted) for quoted in SIGNATURE.findall(own)]
        for method, part in sections("###", text).items():
            found += [(f"{name}.{method}", quoted) for quoted in SIGNATURE.findall(part)]
    return found


@pytest.mark.parametrize(("name", "quoted"), quoted_signatures())
def test_the_page_quotes_the_signature(name: str, quoted: str) -> None:
    thing: Any = revseg
    for part in name.split("."):
        thing = getattr(thing, part)
    assert quoted.startswith(name.split(".")[-1] + "(")
    if name in ("Block", "Loss"):  # abstract: what their base class takes says nothing
        assert quoted == f"{name}()"
        return
    parts = [part for part in inspect.signature(thing).parameters.values() if part.name != "self"]
    assert parameters(quoted) == [(part.name, part.kind) for part in parts]
    assert defaults(quoted) == {part.name: part.default for part in parts if part.default is not part.empty}


def test_every_name_has_one_signature_on_the_page() -> None:
    names = [name for name, _ in quoted_signatures() if "." not in name]
    assert sorted(names) == sorted(NAMES)


@pytest.mark.parametrize("page", ["reference/api.md", "explanation/reversible.md"])
def test_the_examples_of_a_page_run(page: str) -> None:
    text = (PAGE.parents[1] / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    done = fresh("\n".join(blocks))
    assert done.returncode == 0, done.stderr
