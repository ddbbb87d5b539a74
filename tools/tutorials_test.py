"""Each tutorial runs from its first command to its last, and prints what its page shows, but for numbers."""

import pytest
import run_tutorial

from nasnet_tf.testing import REPOSITORY


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs" / "tutorials").glob("*.md")), ids=lambda page: page.name)
def test_a_tutorial_prints_what_it_shows(page, tmp_path, monkeypatch):
    (tmp_path / "testdata").symlink_to(REPOSITORY / "testdata")
    monkeypatch.chdir(tmp_path)
    shown = [(run_tutorial.run(language, code), output) for language, code, output in run_tutorial.blocks(page)]
    assert [pair for pair in shown if pair[1] is not None and not run_tutorial.is_alike(*pair)] == []


def test_another_output_is_noticed(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('a', 2)\n```\n\n```text\na 1\n```\n\n```\necho b\n```\n\n```text\nc\n```\n")
    monkeypatch.setattr("sys.argv", ["run_tutorial", str(page)])
    with pytest.raises(SystemExit) as end:
        run_tutorial.main()
    assert end.value.code == 1
    assert capsys.readouterr().out == "a 2\nb\nThe page shows:\nc\n"
