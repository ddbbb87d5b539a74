"""Writes the pages of the documentation site into build/site_pages: python tools/make_site.py. `make docs` then builds the site.

The site has the pages that GitHub shows: README.md and other pages of the root, and docs/. This script rewrites their links for the site,
adds a page for each linked file, and adds docstrings to docs/reference.md by lines for mkdocstrings. The result is plain Markdown, so the
generator of the site needs no code of this project.
"""

import ast
import os
import pathlib
import re
import shutil

REPOSITORY = pathlib.Path(__file__).parents[1]
FOLDER = REPOSITORY / "build" / "site_pages"
STUB = REPOSITORY / "nasnet_tf" / "__init__.pyi"
ROOT_PAGES = ("README.md", "BENCHMARKS.md", "BUILD.md", "CHANGELOG.md", "CONTRIBUTING.md")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s#]+)([^)\s]*)\)")
_HEADING = re.compile(r"^### (\S+)$", re.MULTILINE)
_LANGUAGES = {".gin": "python", ".proto": "protobuf", ".py": "python", ".pyi": "python", ".cff": "yaml"}


def public_names() -> dict[str, str]:
    """Returns where each public name is defined, such as {"search": "nasnet_tf.api.searching.search"}."""
    lines = [node for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"nasnet_tf.{node.module}.{alias.name}" for node in lines for alias in node.names}


def sources() -> list[str]:
    """Returns the paths of the pages, relative to the repository."""
    return [*ROOT_PAGES, *sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md"))]


def place(source: str) -> str:
    """Returns where the site has the page of a file or folder of the repository."""
    if source in ROOT_PAGES or source.startswith("docs/"):
        return re.sub(r"(^|/)README\.md$", r"\1index.md", source.removeprefix("docs/"))
    return f"source/{source}.md"


def page(source: str) -> tuple[str, set[str]]:
    """Returns a page's Markdown for the site, and the linked files and folders that need a page of their own."""
    shown: set[str] = set()

    def link(match: re.Match) -> str:
        target, anchor = match.groups()
        if "://" in target:
            return match[0]
        linked = os.path.normpath(os.path.join(os.path.dirname(source), target))
        if place(linked).startswith("source/"):
            shown.add(linked)
        return f"]({os.path.relpath(place(linked), os.path.dirname(place(source)))}{anchor})"

    parts, end, text = [], 0, (REPOSITORY / source).read_text(encoding="utf-8")
    for code in _CODE.finditer(text):
        parts += [_LINK.sub(link, text[end : code.start()]), re.sub(r"^(```\w*) .*", r"\1", code[0], count=1)]
        end = code.end()
    parts.append(_LINK.sub(link, text[end:]))
    return "".join(parts), shown


def with_docstrings(reference: str) -> str:
    """Returns docs/reference.md with each heading, a public name or the path of a class, replaced by a line for mkdocstrings."""
    names = public_names()

    def directive(match: re.Match) -> str:
        name = re.sub(r"[^\w-]", "", match[1].lower())
        anchor = f'<a id="{name}"></a>'  # the anchor that GitHub gives the heading
        if match[1] in names:
            return f"{anchor}\n\n::: {names[match[1]]}\n    options:\n      members: false"
        return f"{anchor}\n\n::: {match[1]}\n    options:\n      inherited_members: true\n      show_root_full_path: true"

    return _HEADING.sub(directive, reference)


def source_page(source: str) -> str:
    """Returns the page of a file or folder, which shows the content of the file or of all files in the folder."""
    path = REPOSITORY / source
    files = [path] if path.is_file() else sorted(each for each in path.iterdir() if each.is_file())
    parts = [f"# {source}"]
    for file in files:
        parts += [] if path.is_file() else [f"## {file.name}"]
        parts.append(f"````{_LANGUAGES.get(file.suffix, 'text')}\n{file.read_text(encoding='utf-8').rstrip()}\n````")
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """Returns {path in the site: Markdown} of all pages."""
    written: dict[str, str] = {}
    shown: set[str] = set()
    for source in sources():
        written[place(source)], linked = page(source)
        shown |= linked
    written["reference.md"] = with_docstrings(written["reference.md"])
    return written | {place(source): source_page(source) for source in sorted(shown)}


def write(folder: pathlib.Path = FOLDER) -> None:
    """Replaces the folder by all pages and pictures."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(REPOSITORY / "docs" / "pictures", folder / "pictures")
    for name, text in pages().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
    print(f"written: {FOLDER}")
