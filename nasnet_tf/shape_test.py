"""Tests of the size limits in CONTRIBUTING.md. Each exception is listed here with its reason."""

import ast

import pytest

from nasnet_tf.testing import REPOSITORY

MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 60, 8
# Reasons for modules and functions that are larger, by "path" or "path:function".
REASONS = {
    "nasnet_tf/api/searching.py:search": "public; a caller passes only the few arguments that are needed, as with load_nasnet",
    "nasnet_tf/serving/hub/load.py:load_nasnet": "public since the first version; its options are described in one place",
    "nasnet_tf/training/loop.py:train_and_evaluate": "a call in the style of Keras' fit: each part of a training is a named argument",
    "nasnet_tf/training/loop.py:__init__": "takes the parts of train_and_evaluate",
    "nasnet_tf/models/network.py:build_network": "a network from top to bottom, with the docstring that all others point to",
    "nasnet_tf/data/pipeline_test.py": "one folder of gray images serves all tests of the pipeline",
    "nasnet_tf/serving/hub/load_test.py": "one test for each option of load_nasnet",
    "nasnet_tf/serving/weights/convert_test.py": "all formats start from the same networks",
    "tools/docs_test.py": "one reader of pages and help serves the tests of links, commands and snippets",
    "tools/simulate_search.py": "one simulation, from the strategies to its figure",
    "tools/bench/keras_network.py:keras_network": "the network of keras.applications, kept line by line for comparison",
}
FILES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for room in ("nasnet_tf", "tools")
    for path in (REPOSITORY / room).rglob("*.py")
    if not path.name.endswith("_pb2.py")
)


def too_large(name):
    """Yields the key in REASONS of each module or function in a file that exceeds a limit."""
    text = (REPOSITORY / name).read_text()
    if text.count("\n") > MAX_MODULE_LINES:
        yield name
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [each for each in arguments if each.arg not in ("self", "cls")]
            if node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES or len(parameters) > MAX_PARAMETERS:
                yield f"{name}:{node.name}"


@pytest.mark.parametrize("name", FILES)
def test_modules_functions_and_signatures_are_small(name):
    assert set(too_large(name)) <= set(REASONS)


def test_each_reason_is_needed():
    assert set(REASONS) <= {key for name in FILES for key in too_large(name)}
