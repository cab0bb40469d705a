"""What the web side reaches opens transactions by ``tenant``, or says by ``because=…`` why it sees all."""

import ast
import textwrap
from pathlib import Path

import berrante

SOURCE = Path(berrante.__file__).parent
_AROUND = frozenset({"begin", "connect", "engine"})
_ACROSS = frozenset({"platform", "glance"})


def _module(name: str) -> Path | None:
    path = SOURCE.parent.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("berrante.")}


def reachable() -> dict[str, Path]:
    """The modules that web/ imports, directly or not."""
    web = (SOURCE / "web").rglob("*.py")
    waiting = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in web}
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        path = _module(name)
        if path is None or name in found:
            continue
        found[name] = path
        waiting |= _imports(ast.parse(path.read_text()))
    return found


def violations(source: str) -> list[str]:
    """The lines of a module that open a transaction around the tenant scope."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in _AROUND and "database" in ast.unparse(node.value):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ACROSS:
            reasons = [word.value for word in node.keywords if word.arg == "because"]
            if not (reasons and isinstance(reasons[0], ast.Constant) and len(str(reasons[0].value)) > 10):
                found.append(f"line {node.lineno}: {ast.unparse(node)} gives no reason")
    return found


def test_no_query_that_the_web_side_reaches_goes_around_the_tenant_scope() -> None:
    modules = {
        name: path for name, path in reachable().items() if name.startswith(("berrante.messaging", "berrante.web"))
    }
    assert {"berrante.messaging.messages.service", "berrante.messaging.api_keys.service"} <= modules.keys()
    found = {name: violations(path.read_text()) for name, path in modules.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_lint_sees_what_it_looks_for() -> None:
    source = textwrap.dedent("""
        async def a(self):
            async with self._database.begin() as connection: ...
        async def b(database):
            async with database.engine.connect() as connection: ...
        async def c(self):
            async with self._database.platform(because="") as connection: ...
        async def d(self, organization_id):
            async with self._database.tenant(organization_id) as connection: ...
            async with self._database.platform(because="whose key it is, is the question"): ...
            async with self._database.glance(because=""): ...
    """)
    assert len(violations(source)) == 5
