"""What runs in a tenant's interpreter imports little, and nothing that a tenant could see."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import vassal.runtime

RUNTIME = Path(vassal.runtime.__file__).parent

# Each costs memory in every vassal. `typing` is enough to bring in the most of them.
HEAVY = {
    "asyncio",
    "dataclasses",
    "enum",
    "inspect",
    "json",
    "logging",
    "re",
    "selectors",
    "socket",
    "subprocess",
    "traceback",
    "typing",
}


def at_import_time(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when the module is loaded."""
    inner: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        inner = ()
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        inner = node.orelse
    for child in inner:
        yield from at_import_time(child)


def names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [] if node.level else [(node.module or "").partition(".")[0]]


@pytest.mark.parametrize("path", sorted(RUNTIME.rglob("*.py")), ids=lambda path: path.name)
def test_a_runtime_module_loads_only_light_modules_of_the_standard_library(path: Path) -> None:
    loaded = {name for node in at_import_time(ast.parse(path.read_text())) for name in names(node)}

    assert loaded <= sys.stdlib_module_names
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import json", ["json"]),
        ("try:\n    import json\nexcept ImportError:\n    pass", ["json"]),
        ("def late():\n    import json", []),
        ("if TYPE_CHECKING:\n    import json\nelse:\n    import re", ["re"]),
        ("class C:\n    from typing import Any", ["typing"]),
        ("from . import typing", []),
    ],
)
def test_imports_at_import_time_are_told_from_late_ones(source: str, expected: list[str]) -> None:
    found = [name for node in at_import_time(ast.parse(source)) for name in names(node)]

    assert found == expected
