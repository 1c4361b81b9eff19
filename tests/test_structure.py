"""The shape of the house: who may import whom, where the clock is read, how long files and functions may be.

The layers are those of ARCHITECTURE.md. A breach is mended in the code; a new layer is a decision, made here first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dnsserver"

# What each part may import, itself aside.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "log": set(),
    "events": set(),
    "clock": set(),
    "priority": set(),
    "zone": {"errors"},
    "protocol": {"zone", "events", "errors", "log"},
    "store": {"zone", "errors", "log"},
    "link": {"zone", "errors", "log"},
    "config_values": {"zone", "errors"},
    "config": {"config_values", "zone", "errors", "log"},
    "editing": {"store", "zone", "errors", "log"},
    # What the two processes share: their life under the supervisor, and the store as messages of the link.
    "child": {"errors", "log"},
    "forking": set(),
    "sockets": {"errors"},
    "replication": {"store", "link", "zone", "errors"},
    # Questions to other servers, asked by the keeper, and by a command where no server runs.
    "exchange": {"errors"},
    "asking": {"exchange", "protocol", "zone", "errors"},
    "probing": {"asking", "protocol", "zone"},
    "answerer": {
        *("protocol", "zone", "link", "replication", "store"),
        *("child", "forking", "clock", "priority", "events", "errors", "log"),
    },
    "keeper": {
        "probing",
        "asking",
        "exchange",
        "editing",
        "store",
        "protocol",
        "zone",
        "link",
        "replication",
        "child",
        "clock",
        "priority",
        "events",
        "errors",
        "log",
    },
}
_BELOW = {
    "probing", "asking", "exchange", "editing", "store", "protocol", "zone", "link", "config", "config_values",
    "events", "errors", "log", "priority",
}  # fmt: skip
LAYERS["composition"] = {"config", "editing", "protocol", "zone"}
LAYERS["serve"] = {"answerer", "keeper", "child", "forking", "sockets", "composition", *_BELOW}
LAYERS["cli"] = {"serve", "composition", *_BELOW}
LAYERS["__main__"] = {"cli"}

# Everywhere else `now` is an argument. A line of the log bears the time at which it is written.
CLOCK_READERS = {"answerer", "keeper", "cli", "clock", "log"}
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
MEASURED = sorted(
    path for folder in ("dnsserver", "scripts") for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip


def layer(module: str) -> str | None:
    """The part a module belongs to; None for the package's own `__init__`, which holds the version alone."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports(module: str, tree: ast.Module, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """The modules of ours that one imports, lazily and for types too, each with its line."""
    package = module if known[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.split(".")[0] == "dnsserver")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            if base.split(".")[0] != "dnsserver":
                continue
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner in known else base), node.lineno


EDGES = {
    name: sorted({(target, line) for target, line in imports(name, tree, MODULES) if target != name})
    for name, tree in TREES.items()
}


class _AtRuntime(ast.NodeTransformer):
    """A module without what it imports for annotations alone."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else node


def at_runtime(tree: ast.Module) -> ast.Module:
    copied: ast.Module = _AtRuntime().visit(ast.parse(ast.unparse(tree)))
    return copied


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """One path for each way back that a depth-first walk finds."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for target in sorted(graph.get(node, ())):
                walk(target, [*path, node])
            done.add(node)

    for node in sorted(graph):
        walk(node, [])
    return found


def clock_reads(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Where the wall clock is read, under whatever name it was imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            head, _, rest = ast.unparse(node).partition(".")
            full = names.get(head, head) + (f".{rest}" if rest else "")
            if ".".join(full.split(".")[-2:]) in CLOCKS:
                yield full, node.lineno


def function_lengths(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Name, line and length without the docstring of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node, clean=False) else 0
            yield node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_every_part_has_a_place_in_the_table() -> None:
    unknown = {part for name in MODULES if (part := layer(name)) is not None} - LAYERS.keys()
    assert not unknown, f"not in LAYERS: {sorted(unknown)}"
    assert not EDGES["dnsserver"], "the package's __init__ holds the version alone"


def test_imports_go_down_the_layers() -> None:
    breaches = []
    for name, targets in EDGES.items():
        own = layer(name)
        if own is None:
            continue
        for target, line in targets:
            other = layer(target)
            if other not in (None, own) and other not in LAYERS[own]:
                breaches.append(f"{MODULES[name].relative_to(ROOT)}:{line}: {own} may not import {target}")
    assert not breaches, "\n".join(breaches)


def test_the_table_itself_has_no_cycle() -> None:
    assert cycles(LAYERS) == []


def test_no_module_imports_itself_over_others() -> None:
    graph = {
        name: {target for target, _ in imports(name, at_runtime(tree), MODULES) if target != name}
        for name, tree in TREES.items()
    }
    assert [" -> ".join(path) for path in cycles(graph)] == []


def test_the_clock_is_read_at_the_edge_only() -> None:
    found = [
        f"{MODULES[name].relative_to(ROOT)}:{line}: {what}; take `now: float` as an argument"
        for name, tree in TREES.items()
        if layer(name) not in CLOCK_READERS
        for what, line in clock_reads(tree)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_a_screenful_of_thought(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= MAX_FILE_LINES, f"{lines} lines, at most {MAX_FILE_LINES}"
    long = [
        f"{path.relative_to(ROOT)}:{line}: {name} has {length} lines, at most {MAX_FUNCTION_LINES}"
        for name, line, length in function_lengths(ast.parse(text))
        if length > MAX_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_files_of_tests_are_no_longer_than_others() -> None:
    """Their functions may be: a table or a story in one piece."""
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "tests").rglob("*.py")}
    long = [f"{path.relative_to(ROOT)}: {count} lines" for path, count in lines.items() if count > MAX_FILE_LINES]
    assert not long, f"at most {MAX_FILE_LINES}: {sorted(long)}"


# The rules are tests themselves, so they are shown to fail.


@pytest.mark.xdist_group("structure")
def test_tests_of_a_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """Else those that measure time run beside each other, and what a whole file shares is made by every process."""
    if request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@structure")


def test_a_relative_import_is_seen() -> None:
    known = {"dnsserver.zone.names": Path("names.py"), "dnsserver.store.zones": Path("zones.py")}
    tree = ast.parse("from ..store import zones\nfrom . import names\nimport dnsserver.store.zones\n")
    found = [target for target, _ in imports("dnsserver.zone.names", tree, known)]
    assert found == ["dnsserver.store.zones", "dnsserver.zone.names", "dnsserver.store.zones"]


def test_an_import_for_annotations_makes_no_cycle() -> None:
    tree = ast.parse("if TYPE_CHECKING:\n    import dnsserver.a\nelse:\n    import dnsserver.b\n")
    assert [name for name, _ in imports("m", at_runtime(tree), {"m": Path("m.py")})] == ["dnsserver.b"]


def test_a_cycle_is_seen() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "from time import time as t\nt()",
        "import time as clock\nclock.time_ns()",
        "from datetime import datetime\ndatetime.now()",
        "import datetime as dt\ndt.datetime.utcnow()",
    ],
)
def test_a_clock_is_seen_under_any_name(source: str) -> None:
    assert list(clock_reads(ast.parse(source)))


def test_a_monotonic_clock_is_no_wall_clock() -> None:
    assert not list(clock_reads(ast.parse("import time\ntime.monotonic()\nself.time()")))


def test_a_docstring_is_not_counted() -> None:
    body = '"""One.\n\nThree.\n"""'
    source = f"def f():\n    {body}\n    return 1\n"
    assert list(function_lengths(ast.parse(source))) == [("f", 1, 2)]
