"""Runs the tutorials, and checks that their output equals that on their pages apart from numbers."""

import pytest
import run_tutorial

from nasnet_tf.testing import REPOSITORY

LONG = {"search.md"}  # takes minutes of processor time, so its snippets are only compiled
PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_tutorial_shows_an_output_for_each_of_its_blocks(page):
    for language, code, output in run_tutorial.blocks(page):
        assert output
        if language == "python":
            compile(code, page.name, "exec")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in LONG], ids=lambda page: page.name)
def test_a_tutorial_prints_the_output_on_its_page(page, tmp_path, monkeypatch):
    (tmp_path / "testdata").symlink_to(REPOSITORY / "testdata")
    monkeypatch.chdir(tmp_path)
    shown = [(run_tutorial.run(language, code), output) for language, code, output in run_tutorial.blocks(page)]
    assert [pair for pair in shown if pair[1] is not None and not run_tutorial.is_alike(*pair)] == []


def test_a_different_output_is_reported(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('a', 2)\n```\n\n```text\na 1\n```\n\n```\necho b\n```\n\n```text\nc\n```\n")
    monkeypatch.setattr("sys.argv", ["run_tutorial", str(page)])
    with pytest.raises(SystemExit) as end:
        run_tutorial.main()
    assert end.value.code == 1
    assert capsys.readouterr().out == "a 2\nb\nThe page shows:\nc\n"
