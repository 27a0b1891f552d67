"""Who may import whom, and the rules of the house, read off the source with `ast`."""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_FUNCTION, MEDIAN_FUNCTION = 40, 10  # lines, docstring aside

PLUGIN_LIBRARIES = {"torch", "torchvision", "captum", "sklearn", "scipy", "numpy", "cmaes"}


def rooms() -> dict[str, tuple[set[str], set[str]]]:
    """Return the table of docs/architecture.md: for each room, the modules in it and the rooms it may look into."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("| room | modules | may look into |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {room: (set(re.findall(r"`(\w+)`", modules)), set(re.findall(r"\w+", into))) for room, modules, into in rows}


ROOMS = rooms()


def sources() -> dict[str, ast.Module]:
    """Return the tree of every module of the package by its name below `ambench`; the package itself is ''."""
    found = {}
    for folder in ("ambench", "methods", "metrics"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / "ambench" if folder == "ambench" else ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix("__init__").rstrip(".")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


SOURCES = sources()


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports by absolute name; `from ambench import x` counts as `ambench.x`."""
    for node in _when_running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            whole = node.module == "ambench"
            yield from (f"ambench.{alias.name}" if whole else node.module for alias in node.names)


def _when_running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from _when_running(node)


def own_imports(name: str) -> set[str]:
    """Return the modules of the package that one imports, as names below `ambench`."""
    found = {place.removeprefix("ambench").lstrip(".") for place in imports(SOURCES[name]) if _is_own(place)}
    return {place if place in SOURCES else "" for place in found}


def libraries(name: str) -> set[str]:
    """Return the other packages that a module imports."""
    roots = {place.partition(".")[0] for place in imports(SOURCES[name])}
    return roots - {"ambench", "__future__"} - set(sys.stdlib_module_names)


def _is_own(place: str) -> bool:
    return place.partition(".")[0] == "ambench"


def room(name: str) -> str:
    """Return the room in which a module lies."""
    top = name.partition(".")[0]
    return next((room for room, (modules, _) in ROOMS.items() if top in modules), "none")


PLUGINS = [name for name in SOURCES if room(name) == "plugins"]


def test_every_module_lies_in_a_room_and_no_room_is_invented():
    assert not [name for name in SOURCES if name and room(name) == "none"]  # docs/architecture.md says which
    listed = {module for modules, _ in ROOMS.values() for module in modules}
    assert listed == {name.partition(".")[0] for name in SOURCES if name}
    assert {into for _, rooms in ROOMS.values() for into in rooms} <= ROOMS.keys()


def test_a_module_looks_only_into_the_rooms_it_may():
    wrong = {}
    for name in filter(None, SOURCES):
        allowed = {room(name)} | ROOMS[room(name)][1]
        wrong[name] = {place: room(place) for place in own_imports(name) - {""} if room(place) not in allowed}
    assert not {name: places for name, places in wrong.items() if places}


def test_no_two_modules_import_one_another_in_a_ring():
    left = {name: own_imports(name) - {name, ""} for name in SOURCES if name}
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"these import one another: {sorted(left)}"


def test_nobody_imports_a_plugin_by_name():
    wrong = {n: p for n, tree in SOURCES.items() for p in imports(tree) if re.match(r"ambench\.(methods|metrics)\b", p)}
    assert not wrong


def test_plugins_need_no_library_but_the_numeric_ones():
    wrong = {name: libraries(name) - PLUGIN_LIBRARIES for name in PLUGINS}
    assert not {name: found for name, found in wrong.items() if found}


def test_the_nouns_need_torch_alone():
    nouns = [name for name in SOURCES if name.partition(".")[0] == "core"]
    assert set().union(*map(libraries, nouns)) == {"torch"}


# ------------------------------------------------------------------------------------------------ the house rules


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each function's name and its lines without the docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, lines


def test_every_function_fits_on_a_screen():
    lengths = {(name, function): lines for name, tree in SOURCES.items() for function, lines in functions(tree)}
    assert not {place: lines for place, lines in lengths.items() if lines > LONGEST_FUNCTION}


def test_most_functions_are_short():
    lengths = [lines for tree in SOURCES.values() for _, lines in functions(tree)]
    assert statistics.median(lengths) < MEDIAN_FUNCTION


def test_every_module_says_in_one_sentence_what_it_holds():
    says = {name: (ast.get_docstring(tree) or "").split("\n\n")[0] for name, tree in SOURCES.items()}
    begun = {name for name, first in says.items() if re.match(r"[A-Z`]|ambench ", first)}
    assert begun == SOURCES.keys()
    assert not {name: first for name, first in says.items() if first[-1] not in ".?)"}


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not [name for name in SOURCES if drawers & set(re.split(r"[._]", name))]


def test_nothing_is_left_for_later_and_nothing_hidden():
    later = re.compile(r"TODO|FIXME|XXX|NotImplementedError|pragma: no cover|xfail|except:")
    files = [p for f in ("ambench", "methods", "metrics") for p in (ROOT / f).rglob("*.py")]
    left = {path.name: later.findall(path.read_text(encoding="utf-8")) for path in files}
    assert not {name: found for name, found in left.items() if found}


def test_a_plugins_settings_are_fields_and_its_inputs_arguments():
    arguments = {n: [node for node in ast.walk(SOURCES[n]) if isinstance(node, ast.arguments)] for n in PLUGINS}
    assert not [name for name, found in arguments.items() if any(node.kwarg for node in found)]
