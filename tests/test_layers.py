"""The layers of docs/architecture.md: each imports only from itself and those below; sockets stay in theirs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fproxy"

LAYERS = {"core": 0, "simulation": 1, "shell": 2, "roles": 3, "face": 4}
COMPILED = {
    "_fastpath": 0,
    "_bars": 0,
    "_socket_writer": 2,
    "_message_reader": 2,
    "_bounded_reads": 2,
    "_read_timer": 2,
}

SOCKETS = {"socket", "aiofastnet", "picows", "websockets", "ssl", "select", "selectors", "uvloop", "aiohttp"}

SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.glob("*/*.py"))


def imports(source: Path) -> Iterator[str]:
    """Every module that a file imports, when it runs or for its types."""
    for node in ast.walk(ast.parse((PACKAGE / source).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            if node.module == "fproxy":
                yield from (f"fproxy.{alias.name}" for alias in node.names)


def layer_of(module: str) -> int | None:
    """The layer of a module of the package; None for one that stands beside the layers."""
    parts = module.split(".")
    return (LAYERS | COMPILED).get(parts[1]) if len(parts) > 1 else None


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_go_downwards(source: Path) -> None:
    own = LAYERS[source.parts[0]]
    for module in imports(source):
        if module.startswith("fproxy."):
            layer = layer_of(module)
            assert layer is None or layer <= own, f"{source} imports {module}"


@pytest.mark.parametrize("source", [s for s in SOURCES if LAYERS[s.parts[0]] < LAYERS["shell"]], ids=str)
def test_the_core_knows_no_sockets(source: Path) -> None:
    assert not {module.split(".")[0] for module in imports(source)} & (SOCKETS | {"asyncio"}), source


@pytest.mark.parametrize("source", [s for s in SOURCES if s.parts[0] == "roles"], ids=str)
def test_roles_leave_sockets_to_the_shell(source: Path) -> None:
    assert not {module.split(".")[0] for module in imports(source)} & SOCKETS, source


def test_every_package_has_a_layer() -> None:
    assert {source.parts[0] for source in SOURCES} == set(LAYERS)
