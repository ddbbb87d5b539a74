"""Tests of the package as it is installed and as tools read it: commands, extras and public names."""

import ast
import dataclasses
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import nasnet_tf
from nasnet_tf import __main__ as command
from nasnet_tf.base import extras
from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import explaining
from nasnet_tf.recipes.bindables import NAMES
from nasnet_tf.recipes.table import ROWS, TARGETS, load
from nasnet_tf.testing import REPOSITORY
from nasnet_tf.viz.report import page

load()
PACKAGE = REPOSITORY / "nasnet_tf"
# Makes Python behave as if an extra were not installed: its packages are not found.
WITHOUT = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def python(script, *arguments, cwd=None):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def test_type_checkers_see_the_public_names():
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    seen = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(seen) == nasnet_tf.__all__ == sorted(dir(nasnet_tf))
    for name, module in seen.items():
        assert getattr(nasnet_tf, name).__name__ == name, module
    assert (PACKAGE / "py.typed").is_file()


def test_every_class_that_descriptions_refer_to_is_registered_before_its_module_is_imported():
    decorated = re.compile(r'@keras\.saving\.register_keras_serializable\(package="nasnet_tf"\)\nclass (\w+)')
    found = {
        name: ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for file in PACKAGE.rglob("*.py")
        for name in decorated.findall(file.read_text())
    }
    assert found == nasnet_tf._SERIALIZABLE


def test_the_program_lists_all_commands_and_refuses_others(capsys, monkeypatch):
    doors = {path.stem for path in PACKAGE.glob("*.py") if re.search(r"^    command\.run\(", path.read_text(), re.MULTILINE)}
    assert set(command.DOORS) == doors
    monkeypatch.setattr(sys, "argv", ["nasnet"])
    command.main()
    shown = capsys.readouterr().out
    assert nasnet_tf.__version__ in shown
    assert "search    Searches for cells" in shown
    monkeypatch.setattr(sys, "argv", ["nasnet", "--version"])
    command.main()
    assert capsys.readouterr().out.strip() == nasnet_tf.__version__
    monkeypatch.setattr(sys, "argv", ["nasnet", "trane"])
    with pytest.raises(SystemExit):
        command.main()
    assert "unknown command 'trane'; did you mean train?" in capsys.readouterr().err


def test_the_program_runs_a_command(tmp_path):
    result = subprocess.run([sys.executable, "-m", "nasnet_tf", "draw", "nasnet_b", f"--output={tmp_path}/b.svg"], check=False)
    assert result.returncode == 0
    assert (tmp_path / "b.svg").is_file()


def test_explain_lists_what_can_be_bound_and_describes_it():
    assert set(NAMES) == set(ROWS)
    listed = explaining.names()
    assert set(NAMES) <= set(re.findall(r"\w+", listed))
    assert max(map(len, listed.splitlines())) <= 80
    assert explaining.asked(["--workdir=x", "--explain"]) == explaining.asked(["--explain", "--workdir=x"]) == ""
    assert explaining.asked(["--workdir=x", "--explain", "SGD"]) == explaining.asked(["--explain=SGD"]) == "SGD"
    assert explaining.asked(["--workdir=x"]) is None
    shown = explaining.explain("TrainingConfig")
    assert re.search(r"TrainingConfig\.epochs: a positive number .*\n +\w+", shown)
    for name in ("train", "search", "PPOSearch", "SGD", "exponential_decay", "RayTasks", "HyperbandOracle"):
        assert f"  {name}." in explaining.explain(name)
    assert "search.workdir" not in explaining.explain("search")  # a recipe cannot bind it
    with pytest.raises(InputError, match="did you mean TrainingConfig"):
        explaining.explain("TrainingConfg")


def test_explain_describes_each_parameter():
    silent = []
    for name, target in TARGETS.items():
        if dataclasses.is_dataclass(target) or name in ("train", "search", "tune", "PPOSearch", "RayTasks"):
            rows = explaining.explain(name).splitlines()[2:]
            after = dict(zip(rows, [*rows[1:], ""], strict=True))
            silent += [row.split(":")[0].strip() for row in rows if row.startswith(f"  {name}.") and not after[row].startswith("      ")]
    assert silent == []


def packages_of_extras():
    setup = (REPOSITORY / "setup.py").read_text()
    start = setup.index("TRAIN = ")
    values: dict = {}
    exec(setup[start : setup.index("class BuildWithoutTests")], values)
    return values["EXTRAS"]


def test_each_extra_has_the_packages_that_error_messages_name_it_for():
    for package, extra in extras.PACKAGES.values():
        assert any(each.startswith(package) for each in packages_of_extras()[extra]), package


def test_the_extra_ray_is_enough_to_search_with_ray(tmp_path):
    there = packages_of_extras()["ray"]
    missing = [name for name, (package, _) in extras.PACKAGES.items() if not any(row.startswith(package) for row in there)]
    assert "gin" not in missing
    assert "pebble" in missing
    script = f"import sys\nsys.modules.update(dict.fromkeys({missing}))\n" + (
        "import nasnet_tf.recipes.children\nfrom nasnet_tf.testing import run_door\n"
        f"run_door('search', '--gin_file=quickstart_search.gin', '--workdir={tmp_path / 'run'}', '--dry_run',"
        " '--gin_param=search.engine = @RayTasks')"
    )
    result = python(script)
    assert result.returncode == 0, result.stderr


def test_a_network_works_without_extras_and_errors_name_the_missing_one(tmp_path):
    script = WITHOUT.format(names=sorted(extras.PACKAGES))
    using = "import numpy as np; import nasnet_tf; model = nasnet_tf.load_nasnet('1 @ 96', None, image_size=32); "
    using += "print(model.predict(np.zeros([1, 32, 32, 3]), verbose=0).shape); nasnet_tf.load_classifier, nasnet_tf.export"
    result = python(script + using)
    assert result.stdout.strip() == "(1, 10)", result.stderr
    asked = {"train": ("gin-config", "train"), "draw": ("matplotlib", "pictures")}
    for door, (package, extra) in asked.items():
        arguments = {"train": ["--gin_file=digits.gin", "--workdir=x"], "draw": ["nasnet_a", "--output=a.svg"]}[door]
        run = f"{script}\nimport runpy, sys\nsys.argv[0] = 'x'\nrunpy.run_module('nasnet_tf.{door}', run_name='__main__', alter_sys=True)"
        result = python(run, *arguments, cwd=tmp_path)
        assert result.returncode == 1
        line = f"error: the package {package} is not installed; it comes with: pip install 'nasnet_tf[{extra}]'"
        assert result.stderr.strip() == line


def test_tests_are_not_installed(tmp_path):
    command = [sys.executable, "setup.py", "-q", "build_py", f"--build-lib={tmp_path}"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    names = {str(path.relative_to(tmp_path)) for path in pathlib.Path(tmp_path).rglob("*")}
    assert not {name for name in names if name.endswith(("_test.py", "testing.py"))}
    assert {
        "nasnet_tf/py.typed",
        "nasnet_tf/recipes/shipped/digits.gin",
        "nasnet_tf/__init__.pyi",
        *(f"nasnet_tf/viz/report/{name}" for name in ("page.css", *page.SCRIPTS)),
        "nasnet_tf/genotype/published/nasnet_a.textproto",
    } <= names


@pytest.mark.parametrize("name", ["export", "search"])
def test_a_public_function_stays_one_when_the_command_of_its_name_is_imported(name):
    function = getattr(nasnet_tf, name)
    importlib.import_module(f"nasnet_tf.{name}")
    assert getattr(nasnet_tf, name) is function
    assert callable(function)


def test_a_public_name_says_which_extra_it_lacks(monkeypatch):
    def lack(name):
        raise ModuleNotFoundError("No module named 'gin'", name="gin")

    monkeypatch.setattr(nasnet_tf, "_load", lack)
    monkeypatch.delitem(vars(nasnet_tf), "search", raising=False)
    with pytest.raises(InputError, match=r"the package gin-config is not installed; it comes with: pip install 'nasnet_tf\[train\]'"):
        _ = nasnet_tf.search
