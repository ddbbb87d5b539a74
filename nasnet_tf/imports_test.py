"""Tests which modules may import which.

A room is a folder or a module directly in nasnet_tf/. Rooms are layered in floors, and import only from lower floors.
"""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent
COMMANDS = {"search", "train", "tune", "evaluate", "predict", "detect", "export", "report", "costs", "draw", "convert"}
# The floors from the ground up. Rooms on the same floor do not import each other.
FLOORS = (
    {"version", "base"},
    {"genotype", "data"},
    {"layers"},
    {"models"},
    {"training"},
    {"detection", "nas"},
    {"serving", "tuning"},
    {"recipes", "viz"},
    {"cli", "api"},
    COMMANDS | {"__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Floors inside a room that has rooms of its own. The other modules of the room are above them.
INNER_FLOORS = {
    "nas": ({"engines", "strategies"}, {"trials"}, {"children"}),
    "serving": ({"weights"}, {"exports"}, {"hub"}),
}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for path in PACKAGE.rglob("*.py")
    if not path.name.endswith("_test.py") and path.name not in ("testing.py", "conftest.py")
}


def imported_modules(path):
    """Yields the names of all modules that a file imports, also inside functions. An imported function or class counts as its module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


IMPORTS = {name: set(imported_modules(path)) for name, path in MODULES.items()}


def rooms():
    """Yields (importing module, imported module, room of the first, room of the second) for each import within the package."""
    for name, imported in IMPORTS.items():
        for other in imported & MODULES.keys():
            if name != "nasnet_tf" and other != "nasnet_tf":
                yield name, other, name.split(".")[1], other.split(".")[1]


def test_every_room_has_a_floor():
    assert {name.split(".")[1] for name in MODULES if name != "nasnet_tf"} == set(FLOOR_OF)


def test_rooms_import_from_lower_floors():
    wrong = [(name, other) for name, other, room, target in rooms() if room != target and FLOOR_OF[target] >= FLOOR_OF[room]]
    assert wrong == []


@pytest.mark.parametrize("room", INNER_FLOORS)
def test_inner_rooms_import_from_lower_floors(room):
    floors = {inner: floor for floor, inners in enumerate(INNER_FLOORS[room]) for inner in inners}

    def inner_of(name):
        part = name.split(".")[2] if name.count(".") > 1 else ""
        return part, floors.get(part, len(floors))

    wrong = []
    for name, other, own, target in rooms():
        if own == target == room and inner_of(name)[0] != inner_of(other)[0] and inner_of(other)[1] >= inner_of(name)[1]:
            wrong.append((name, other))
    assert not [pair for pair in wrong if any(inner_of(each)[0] in floors for each in pair)]


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: {other for other in imported & MODULES.keys() if other != name} for name, imported in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the modules of the circle


def test_only_recipes_know_gin():
    assert {name.split(".")[1] for name, imported in IMPORTS.items() if "gin" in imported} == {"recipes"}


def test_importing_the_package_is_cheap():
    script = "import sys; import nasnet_tf, nasnet_tf.cli.command; print([m for m in ('tensorflow', 'keras', 'gin') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
