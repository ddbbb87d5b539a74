"""Runs the tutorials, and checks that their output equals that on their pages apart from numbers.

Tutorials that take minutes are not run. Their shell commands and snippets are parsed here, and docs_test.py checks flags and bindings.
After a change, run such a page by hand: python tools/run_tutorial.py docs/tutorials/detect.md.
"""

import re
import subprocess

import pytest
import run_tutorial

from nasnet_tf.testing import REPOSITORY

LONG = {"cluster.md", "detect.md", "fine_tune.md", "paper_row.md", "search.md"}  # minutes of processor time
PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_tutorial_shows_an_output_for_each_of_its_blocks(page):
    for language, code, output in run_tutorial.blocks(page):
        assert output
        if language == "python":
            compile(code, page.name, "exec")
        else:
            subprocess.run(["bash", "-n"], input=code, text=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_tutorial_says_how_long_it_took_and_how_to_run_it(page):
    beginning = " ".join(page.read_text().partition("\n## ")[0].split())
    assert re.search(r"The (whole )?page took [^.]*\d[^.]* on 20\d\d-\d\d-\d\d", beginning)
    assert f"`python tools/run_tutorial.py docs/tutorials/{page.name}`" in beginning


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in LONG], ids=lambda page: page.name)
def test_a_tutorial_prints_the_output_on_its_page(page, tmp_path, monkeypatch):
    (tmp_path / "testdata").symlink_to(REPOSITORY / "testdata")
    monkeypatch.chdir(tmp_path)
    shown = [(run_tutorial.run(language, code), output) for language, code, output in run_tutorial.blocks(page)]
    assert [pair for pair in shown if pair[1] is not None and not run_tutorial.is_alike(*pair)] == []


def test_a_block_with_a_label_is_not_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("``` elsewhere\nexit 1\n```\n\n```python elsewhere\n1 / 0\n```\n\n```\necho a\n```\n\n```text\na\n```\n")
    assert list(run_tutorial.blocks(page)) == [("", "echo a\n", "a\n")]


def test_a_different_output_is_reported(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('a', 2)\n```\n\n```text\na 1\n```\n\n```\necho b\n```\n\n```text\nc\n```\n")
    monkeypatch.setattr("sys.argv", ["run_tutorial", str(page)])
    with pytest.raises(SystemExit) as end:
        run_tutorial.main()
    assert end.value.code == 1
    assert capsys.readouterr().out == "a 2\nb\nThe page shows:\nc\n"
