"""Who may import whom; the rule is the design."""

import ast
import pathlib
import subprocess
import sys

PACKAGE = pathlib.Path(__file__).parent
# room: the rooms it may import from, besides itself and what all may import.
FOR_ALL = ("__version__", "arguments", "claims", "cpus", "errors", "extras", "files", "ranges", "testing", "typed")
ALLOWED = {
    "genotype": set(),
    "layers": {"genotype"},
    "models": {"genotype", "layers"},
    "data": set(),
    "training": {"data", "layers"},
    "detection": {"genotype", "layers", "models", "data", "training"},
    "nas": {"genotype", "models", "data", "training"},
    "serving": {"genotype", "layers", "models", "data", "training", "detection"},
    "viz": {"genotype", "nas", "training", "tuning"},
    "tuning": {"genotype", "models", "nas", "training"},
}
# Rebuilding a network takes its classes; see training/checkpoints.py.
EXCEPTIONS = {("training/checkpoints.py", "models")}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ([node.module] if node.module != "nasnet_tf" else [f"nasnet_tf.{alias.name}" for alias in node.names])


def test_rooms_import_only_what_they_may():
    seen = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        if len(place.parts) == 1 or path.name.endswith("_test.py"):
            continue
        room = place.parts[0]
        for module in imported_modules(path):
            assert module != "gin", f"{place} imports gin"
            parts = module.split(".")
            if parts[0] != "nasnet_tf" or parts[1] in (room, *FOR_ALL):
                continue
            if (str(place), parts[1]) in EXCEPTIONS:
                seen.add((str(place), parts[1]))
                continue
            assert parts[1] in ALLOWED[room], f"{place} imports {module}"
    assert seen == EXCEPTIONS


def test_only_the_doors_import_gin():
    users = {path.name for path in PACKAGE.glob("*.py") if "gin" in set(imported_modules(path)) and not path.name.endswith("_test.py")}
    assert users == {"bindable.py", "cli.py", "configurables.py", "recipes.py"}


def test_importing_the_package_is_cheap():
    script = "import sys; import nasnet_tf, nasnet_tf.cli; print([m for m in ('tensorflow', 'keras', 'gin') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
