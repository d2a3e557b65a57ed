"""Rules of the source text that no linter checks: readable calls, plain docstrings, short files and functions, narrow excepts.

Calls: none of a function, method or class of revseg passes more than three positional arguments; the others are keywords.
There are no types here, so a call counts where its target tells that it is ours:

    f(...)          f is defined in the same file or imported from revseg, or another name of one that is
    module.f(...)   module is imported from revseg
    Class.f(...), self.f(...), cls(...)
    object.f(...)   some class of revseg has a method f, and no class of ``FOREIGN`` has one

What *args takes cannot be given by keyword: functions of *args are exempt. So are calls within kernels of Triton, which compile
to one function, with tensors and sizes in the order of their launch. A launch, kernel[grid](...), calls no name: exempt as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

import numpy as np
import pytest
import torch

PACKAGE = Path(__file__).parent.parent / "revseg"
POSITIONAL = 3
LINES_OF_FILE, LINES_OF_FUNCTION = 400, 60

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# A method of one of these is not taken for ours when nothing tells what it is called on: volume.view(2, 3, 4, 5).
FOREIGN = (torch.Tensor, torch.nn.Module, torch.optim.Optimizer, np.ndarray, np.random.Generator, str, bytes, list, dict, set,
           int, float, Path, Thread, ZipFile)  # fmt: skip


@dataclass
class Names:
    """What a module can call by a bare name, and what stands before the dot."""

    targets: set[str] = field(default_factory=set)
    """Functions and classes of revseg, as they are called here."""
    modules: set[str] = field(default_factory=set)
    """Modules of revseg, as they are called here."""
    foreign: set[str] = field(default_factory=set)
    """Everything that is imported from elsewhere."""


def defined(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Functions and classes, and methods, anywhere in a module; without functions of *args, which take no keyword for them."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    methods = {part for node in nodes if isinstance(node, ast.ClassDef) for part in node.body if isinstance(part, FUNCTIONS)}
    named = [node for node in nodes if isinstance(node, ast.ClassDef) or not node.args.vararg]
    return {node.name for node in named if node not in methods}, {node.name for node in named if node in methods}


def names_of(tree: ast.Module, ours: set[str]) -> Names:
    """The names of a module; ours: functions and classes of the whole package."""
    names = Names(targets=defined(tree)[0])
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        base = "" if isinstance(node, ast.Import) else "revseg" if node.level else node.module or ""
        for alias in node.names:
            local = alias.asname or alias.name.split(".")[0]
            if (base or alias.name).split(".")[0] != "revseg":
                names.foreign.add(local)
            elif base and alias.name in ours:
                names.targets.add(local)
            else:
                names.modules.add(local)
    for node in ast.walk(tree):  # kind = A if wide else B, then kind(...)
        if isinstance(node, ast.Assign) and any(part.id in names.targets for part in alternatives(node.value)):
            names.targets |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    return names


def alternatives(expression: ast.expr) -> list[ast.Name]:
    """The names that an expression may stand for: itself, or both sides of a condition."""
    if isinstance(expression, ast.IfExp):
        return [*alternatives(expression.body), *alternatives(expression.orelse)]
    return [expression] if isinstance(expression, ast.Name) else []


def is_ours(target: ast.expr, names: Names, ours: set[str], methods: set[str]) -> bool:
    """Whether the target of a call is a function, method or class of revseg."""
    if isinstance(target, ast.IfExp):
        return any(is_ours(each, names, ours, methods) for each in (target.body, target.orelse))
    if isinstance(target, ast.Name):
        return target.id in names.targets or target.id == "cls"
    if not isinstance(target, ast.Attribute):
        return False
    owner = root(target)
    if owner in names.foreign:
        return False
    if owner in names.modules:
        return target.attr in ours | methods
    if owner in names.targets | {"self", "cls"} and isinstance(target.value, ast.Name):
        return target.attr in methods
    return target.attr in methods and not any(hasattr(kind, target.attr) for kind in FOREIGN)


def root(expression: ast.expr) -> str:
    """The name that a chain of attributes starts with: torch.nn.functional -> torch; "" where it starts with anything else."""
    while isinstance(expression, ast.Attribute):
        expression = expression.value
    return expression.id if isinstance(expression, ast.Name) else ""


def is_kernel(node: ast.AST) -> bool:
    """Whether a function is compiled by Triton: @triton.jit or @triton.jit(...)."""
    return isinstance(node, ast.FunctionDef) and any("triton.jit" in ast.unparse(each) for each in node.decorator_list)


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """All calls below a node, in the order of the text, without those within kernels."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child
        if not is_kernel(child):
            yield from calls(child)


def crowded_calls(tree: ast.Module, ours: set[str], methods: set[str]) -> list[tuple[int, str]]:
    """(line, problem) of each call of ours with too many positional arguments; a starred one counts as one."""
    names = names_of(tree, ours)
    found = [call for call in calls(tree) if len(call.args) > POSITIONAL and is_ours(call.func, names, ours, methods)]
    return [(call.lineno, f"{ast.unparse(call.func)}() gets {len(call.args)} positional arguments") for call in found]


def docstrings_of(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, problem) of each docstring, of a setting too, that begins with "Of "."""
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    begun = [(node.lineno, node.value.value) for node in texts if isinstance(node.value.value, str)]  # type: ignore[attr-defined]
    return [(line, f"the docstring begins with {text[:20]!r}") for line, text in begun if text.lstrip().startswith("Of ")]


def long_functions(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, problem) of each function with too many lines."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    sizes = [(node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [(line, f"{name}() has {size} lines") for line, name, size in sizes if size > LINES_OF_FUNCTION]


def broad_excepts(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, problem) of each except that would hide any mistake of ours."""
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    caught = [(node.lineno, node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]) for node in handlers]
    return [
        (line, "catches Exception")
        for line, kinds in caught
        if any(kind is None or ast.unparse(kind) == "Exception" for kind in kinds)
    ]


def trees() -> dict[str, ast.Module]:
    """The parsed modules of revseg by their path."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {str(path.relative_to(PACKAGE.parent)): ast.parse(path.read_text(encoding="utf-8")) for path in files}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return trees()


def test_no_call_of_ours_has_more_than_three_positional_arguments(modules: dict[str, ast.Module]) -> None:
    definitions = [defined(tree) for tree in modules.values()]
    ours, methods = (set().union(*(each[kind] for each in definitions)) for kind in (0, 1))
    found = [(path, *wrong) for path, tree in modules.items() for wrong in crowded_calls(tree, ours, methods)]
    assert not found, "\n".join(["give the rest by keyword:", *(f"{path}:{line} {problem}" for path, line, problem in found)])


@pytest.mark.parametrize("rule", [docstrings_of, long_functions, broad_excepts])
def test_every_module_keeps(rule, modules: dict[str, ast.Module]) -> None:  # type: ignore[no-untyped-def]
    found = [f"{path}:{line} {problem}" for path, tree in modules.items() for line, problem in rule(tree)]
    assert not found, "\n".join(found)


def test_no_file_is_long() -> None:
    sizes = {
        str(path.relative_to(PACKAGE.parent)): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert not {path: size for path, size in sizes.items() if size > LINES_OF_FILE}


IMPORTS = (
    "import torch\nfrom torch import nn\nfrom revseg.reversible import haar\n"
    "from revseg.reversible.force.slab import Slab as Part\n"
)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(a, b, c, x): ...\nf(1, 2, 3)", 0),
        ("def f(a, b, c, x): ...\nf(1, 2, 3, 4)", 1),
        ("def f(a, b, c, x): ...\nf(1, 2, 3, x=4)", 0),
        ("def f(a, b, c, x): ...\nf(*a, 2, 3, 4)", 1),
        ("def f(a, b, c, x): ...\nf(*a, *b, *c)", 0),
        ("def f(a, b, c, x): ...\n(f if a else b)(1, 2, 3, 4)", 1),
        ("def f(a, b, c, x): ...\nf(f(1, 2, 3, 4), g(1, 2, 3, 4))", 1),
        ("def f(a, *b): ...\nf(1, 2, 3, 4)", 0),
        ("g(1, 2, 3, 4)", 0),
        ("Part(0, 1, 2, 3)", 0),
        (f"{IMPORTS}Part(0, 1, 2, 3)", 1),
        (f"{IMPORTS}kind = Part if a else torch.view\nkind(0, 1, 2, 3)", 1),
        (f"{IMPORTS}haar.coarsen_(1, 2, 3, 4)", 1),
        (f"{IMPORTS}Slab(0, 1, 2, 3)", 0),
        (f"{IMPORTS.replace(' as Part', '')}Slab(0, 1, 2, 3)", 1),
        (f"{IMPORTS}torch.step_(1, 2, 3, 4); nn.functional.view(1, 2, 3, 4)", 0),
        ("layer.step_(1, 2, 3, 4)", 1),
        ("block.layer.step_(1, 2, 3, 4)", 1),
        ("layers[0].step_(1, 2, 3, 4)", 1),
        ("class A:\n    def f(self): self.step_(1, 2, 3, 4)\n    @classmethod\n    def of(cls): return cls(1, 2, 3, 4)", 2),
        ("class A: ...\nA.view(1, 2, 3, 4)", 1),
        ("tensor.view(1, 2, 3, 4)", 0),
        ("@triton.jit\ndef f(a, b, c, x): f(1, 2, 3, 4)", 0),
        ("@triton.jit(do_not_specialize=[])\ndef f(a, b, c, x): f(1, 2, 3, 4)\nf[(1,)](1, 2, 3, 4)", 0),
    ],
)
def test_the_rule_of_calls_finds_a_planted_violation(source: str, count: int) -> None:
    assert len(crowded_calls(ast.parse(source), ours={"Slab", "coarsen_"}, methods={"step_", "view"})) == count


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (docstrings_of, 'def f():\n    """Offers a choice."""', 'def f():\n    """Of a frame: its number."""'),
        (docstrings_of, 'x: int\n"""Office hours."""', 'x: int\n"""Of the frames."""'),
        (long_functions, "def f():\n" + "    a\n" * 59, "def f():\n" + "    a\n" * 60),
        (broad_excepts, "try: ...\nexcept (OSError, ValueError): ...", "try: ...\nexcept (OSError, Exception): ..."),
        (broad_excepts, "try: ...\nexcept ValueError as error: ...", "try: ...\nexcept Exception as error: ..."),
        (broad_excepts, "try: ...\nfinally: ...", "try: ...\nexcept: ..."),
    ],
)
def test_the_other_rules_find_a_planted_violation(rule, good: str, bad: str) -> None:  # type: ignore[no-untyped-def]
    assert not rule(ast.parse(good))
    assert len(rule(ast.parse(bad))) == 1
