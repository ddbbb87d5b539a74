"""The help of each command: one screen, its two most common uses first, and no names that a recipe can bind."""

import contextlib
import re
import runpy
import subprocess
import sys

import pytest

from nasnet_tf import __main__ as program
from nasnet_tf.cli import explaining
from nasnet_tf.cli.flags import FLAGS, REQUIRED
from nasnet_tf.recipes.bindables import NAMES
from nasnet_tf.testing import REPOSITORY, uses

MAX_LINES, MAX_COLUMNS = 40, 80


@pytest.fixture
def run(capsys, monkeypatch):
    """A context in which a command has run with the given words, with its output. Its flags are defined in it."""

    @contextlib.contextmanager
    def context(name, *words):
        others, required = set(FLAGS), set(REQUIRED)
        REQUIRED.clear()  # tests that ran a command in this process have left names there
        monkeypatch.setattr(sys, "argv", [name, *words])
        try:
            runpy.run_module(f"nasnet_tf.{name}", run_name="__main__", alter_sys=True)
            yield capsys.readouterr().out
        finally:
            for flag in set(FLAGS) - others:
                delattr(FLAGS, flag)
            REQUIRED.clear()
            REQUIRED.update(required)
            FLAGS.unparse_flags()

    return context


def check_is_one_screen(shown):
    lines = shown.splitlines()
    assert len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= MAX_COLUMNS
    assert re.fullmatch(r"[A-Z].*\.", lines[0])
    for guide in re.findall(r"[\w/]+\.md", lines[-1]):
        assert (REPOSITORY / guide).is_file()
    assert lines[-1].startswith("Guide")


def told_uses(shown):
    """The paragraph of the uses, and each use as it is told."""
    paragraph = shown.split("\n\n")[1]
    return paragraph, re.findall(r"^  # [A-Z].*\.\n  (nasnet (?:.*\\\n)*.*)$", paragraph, re.MULTILINE)


@pytest.mark.parametrize("name", program.DOORS)
def test_help_is_one_screen(name, run):
    with run(name, "--help") as shown:
        check_is_one_screen(shown)
        has_bindings = "gin_param" in FLAGS
        assert ("--explain lists what a recipe can bind" in shown) == has_bindings
        for flag in ("--workdir=", "--model=", "--output="):
            assert (f"  {flag}..." in shown) == (flag.strip("-=") in FLAGS)
    paragraph, told = told_uses(shown)
    rest = shown.replace(paragraph, "")
    assert [each for each in set(NAMES) - set(program.DOORS) if re.search(rf"\b{each}\b", rest)] == []
    assert len(told) == len(uses(name)) == 2


@pytest.mark.parametrize("name", program.DOORS)
def test_the_uses_in_a_docstring_are_valid_commands(name, run):
    with run(name, "--help") as shown:
        for words in uses(name):
            assert words[:2] == ["nasnet", name]
            rest = FLAGS(words[1:])[1:]
            assert [flag for flag in REQUIRED if FLAGS[flag].value is None] == []
            assert not rest or "arguments:" in shown
            FLAGS.unparse_flags()


def test_help_of_the_program_is_one_screen(capsys, run):
    print(program.overview())
    shown = capsys.readouterr().out
    check_is_one_screen(shown)
    assert len(told_uses(shown)[1]) == len(uses("__main__")) == 2
    for _, name, *rest in uses("__main__"):
        with run(name, "--help"):
            FLAGS([name, *rest])


def test_short_forms_show_the_help_and_helpfull_shows_more(run):
    with run("search", "--help") as shown:
        pass
    for form in ("-h", "--h", "-help", "-helpshort", "--helpshort"):
        with run("search", form) as same:
            assert same == shown
    with run("search", "--helpfull") as full:
        pass
    for text in ("coco:FOLDER", "--verbosity"):
        assert text in full
        assert text not in shown
    assert max(map(len, full.splitlines())) <= MAX_COLUMNS


def test_explain_lists_names_and_describes_one(run):
    with run("train", "--explain", "--workdir=x") as listed:
        assert listed.rstrip() == explaining.names()
    with run("train", "--explain", "SGD") as described:
        assert described.startswith("SGD\n")


@pytest.mark.parametrize("word", ["--help", "--explain"])
def test_help_is_quick(word):
    script = (
        f"import runpy, sys; sys.argv = ['train', {word!r}]; runpy.run_module('nasnet_tf.train', run_name='__main__', alter_sys=True); "
        "assert not {'tensorflow', 'keras', 'gin', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
