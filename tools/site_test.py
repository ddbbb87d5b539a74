"""Checks that the documentation site builds without a warning or a broken link, and that its reference is complete."""

import re

import griffe
import make_site
import mkdocs.commands.build
import mkdocs.config
import mkdocs.exceptions
import mkdocs.utils.yaml
import pytest

from nasnet_tf.testing import REPOSITORY

NAVIGATION = mkdocs.utils.yaml.yaml_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
DECISIONS = sorted(page for page in (REPOSITORY / "docs" / "design").glob("*.md") if page.name != "README.md")
LONGEST_DECISION = 40
REFERENCE = (REPOSITORY / "docs" / "reference.md").read_text()


def build(folder):
    """Builds the site from folder/pages, and returns its folder."""
    config = mkdocs.config.load_config(
        str(REPOSITORY / "mkdocs.yml"), docs_dir=str(folder / "pages"), site_dir=str(folder / "site"), strict=True
    )
    mkdocs.commands.build.build(config)
    return folder / "site"


def test_the_site_builds_and_shows_every_docstring(tmp_path):
    make_site.write(tmp_path / "pages")
    shown = (build(tmp_path) / "reference.html").read_text()
    assert [path for path in make_site.public_names().values() if f'id="{path}"' not in shown] == []
    assert "images float32 [batch, height, width, 3]" in shown
    assert 'id="nasnet_tf.serving.hub.network_classifier.Classifier.__call__"' in shown
    assert re.findall('(?:<link [^>]*href|src)="(?:https?:)?//[^"]*"', shown) == [], "the page must not load files from other hosts"


def test_a_broken_link_fails_the_build(tmp_path):
    for name in make_site.pages():
        (tmp_path / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages" / name).write_text("# Title\n")
    build(tmp_path)
    for link in ("nowhere.md", "use.md#nowhere"):
        (tmp_path / "pages" / "index.md").write_text(f"# Title\n\n[link]({link})\n")
        with pytest.raises(mkdocs.exceptions.Abort):
            build(tmp_path)


def test_every_public_name_is_in_the_reference_with_an_example():
    sections = dict(
        zip(re.findall("^### (.*)$", REFERENCE, re.MULTILINE), re.split("^### .*$", REFERENCE, flags=re.MULTILINE)[1:], strict=True)
    )
    names = {name for name in sections if not name.startswith("nasnet_tf.")}
    public = set(make_site.public_names())
    assert public - names == set(), "docs/reference.md lacks a section '### NAME' with a sentence and an example for these public names"
    assert names - public == set(), "docs/reference.md has sections for names that are not in nasnet_tf/__init__.pyi"
    examples = {name: "".join(re.findall("^```python.*?^```", sections[name], re.MULTILINE | re.DOTALL)) for name in names}
    assert [name for name in names if f"nasnet_tf.{name}" not in examples[name]] == [], "docs/reference.md has no example with these names"


def test_docstrings_of_public_functions_name_every_parameter_and_the_result():
    package = griffe.load("nasnet_tf", docstring_parser="google", search_paths=[str(REPOSITORY)])
    for name, path in make_site.public_names().items():
        found = package[path.removeprefix("nasnet_tf.")]
        function = found.final_target if found.is_alias else found
        if function.is_function:
            sections = {section.kind.value: section.value for section in function.docstring.parsed}
            named = {parameter.name for parameter in sections.get("parameters", ())}
            assert [each.name for each in function.parameters if each.name not in named] == [], f"{name}: missing under Args"
            is_described = "returns" in sections or sections["text"].startswith("Returns ") or str(function.returns) == "None"
            assert is_described, f"{name}: the docstring does not describe the result"


def test_every_page_is_in_the_navigation():
    def pages(entries):
        for entry in entries:
            (value,) = entry.values() if isinstance(entry, dict) else (entry,)
            yield from [value] if isinstance(value, str) else pages(value)

    listed = set(pages(NAVIGATION))
    wanted = {make_site.place(source) for source in make_site.sources()}
    assert {page for page in wanted if not page.startswith("design/") or page == "design/index.md"} == listed


def test_a_guide_begins_with_its_requirements_and_its_result():
    sections = {name: pages for entry in NAVIGATION for name, pages in entry.items()}
    guides = [*sections["Tutorials"], *sections["Guides"]]
    for guide in guides:
        beginning = " ".join((REPOSITORY / "docs" / guide).read_text().split("\n\n")[1].split())
        assert "You need " in beginning, guide
        assert "You will have " in beginning, guide


def test_files_of_the_repository_become_pages(tmp_path):
    pages = make_site.pages()
    assert "](source/CITATION.cff.md)" in pages["index.md"]
    assert "](../source/nasnet_tf/training/loop.py.md)" in pages["design/own_loop.md"]
    assert "def train_and_evaluate(" in pages["source/nasnet_tf/training/loop.py.md"]
    assert "## nasnet_c.textproto" in pages["source/nasnet_tf/genotype/published.md"]
    assert "```python client" not in pages["export_and_serve.md"]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_short_and_its_figures_are_in_the_benchmarks(page):
    text = page.read_text()
    assert len(text.splitlines()) <= LONGEST_DECISION
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Measured"]
    measured = text.partition("## Measured")[2]
    links = re.findall(r"\]\(([^)#]*(?:BENCHMARKS|benchmarks/\w+)\.md)", measured)
    assert links or measured.strip().startswith("Nothing")
    known = "".join((page.parent / link).read_text() for link in links)
    assert [figure for figure in re.findall(r"\d+(?:[.,:]\d+)+", measured) if figure not in known] == []
