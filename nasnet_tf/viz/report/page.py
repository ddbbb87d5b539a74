"""Parts of an HTML page that needs nothing beside itself: text and numbers in, markup out."""

import base64
import dataclasses
import datetime
import functools
import html
import json
import pathlib
import re
import urllib.parse
from collections.abc import Collection, Mapping, Sequence

from matplotlib.figure import Figure

from nasnet_tf.viz.diagram import figure_to_svg

_HERE = pathlib.Path(__file__).parent
SCRIPTS = ("memory.js", "tables.js", "page.js")  # tables before the folds and the place that a link leads to: they change heights


def document(title: str, content: str, refresh_seconds: float | None) -> str:
    """A whole page; loads itself again every refresh_seconds, if there are any."""
    seconds = max(1, round(refresh_seconds)) if refresh_seconds else None
    # The script reloads it otherwise: browsers do not refresh an address with a place in the page, which links lead to.
    refresh = f'<noscript><meta http-equiv="refresh" content="{seconds}"></noscript>' if seconds else ""
    mark = f' data-refresh="{seconds}"' if seconds else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"{mark}><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f"<title>{html.escape(title)}</title><style>\n{_read('page.css')}</style></head><body><h1>{html.escape(title)}</h1>{_with_own_ids(content)}"
        f"<script>\n{''.join(map(_read, SCRIPTS))}</script></body></html>\n"
    )


@functools.cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _with_own_ids(content: str) -> str:
    """Pictures of one page must not share ids: what one defines within a closed <details> would fail the others."""
    number = 0

    def renamed(picture: re.Match) -> str:
        nonlocal number
        number += 1
        return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{number}-", picture.group())

    return re.sub(r"<svg.*?</svg>", renamed, content, flags=re.DOTALL)


def heading(level: int, text: str) -> str:
    """A heading; those of level 2 can be linked to."""
    return f'<h2 id="{anchor(text)}">{html.escape(text)}</h2>' if level == 2 else f"<h{level}>{html.escape(text)}</h{level}>"


def anchor(text: str) -> str:
    """A name for a place in the page."""
    return re.sub(r"\W+", "-", text).lower()


def links(texts: Sequence[str]) -> str:
    """A line of links to headings of level 2."""
    return "<nav>" + "".join(f'<a href="#{anchor(text)}">{html.escape(text)}</a>' for text in texts) + "</nav>"


def paragraph(text: str) -> str:
    """A paragraph of lesser importance."""
    return f'<p class="soft">{html.escape(text)}</p>'


def moment(label: str, unix_seconds: float) -> str:
    """A point in time, in local time, and how long ago that is whenever it is read."""
    when = datetime.datetime.fromtimestamp(unix_seconds).astimezone()
    stamp = f'<time datetime="{when.isoformat(timespec="seconds")}">{when:%Y-%m-%d %H:%M:%S %Z}</time><span></span>'
    return f'<p class="soft">{html.escape(label)} {stamp}</p>'


def numbers(values: dict[str, str]) -> str:
    """Large numbers with their names below."""
    cards = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in values.items())
    return f'<div class="numbers">{cards}</div>'


def picture(figure: Figure, caption: str, is_drawing: bool = False, place: str = "") -> str:
    """A figure, to be linked to at its place; drawings keep a readable size on narrow screens, where they can be moved
    sideways, and are not blown up on wide ones."""
    svg, width, marks = figure_to_svg(figure), figure.get_figwidth(), f' id="{anchor(place)}"' if place else ""
    if is_drawing:
        marks += ' class="drawing"'
        svg = svg.replace("<svg ", f'<svg style="min-width: {4.2 * width:.0f}rem; max-width: {7 * width:.0f}rem" ', 1)
    return f"<figure{marks}>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def image(svg: bytes, caption: str) -> str:
    """A picture from a file, shown as an image: nothing in it can act."""
    uri = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f'<figure><img alt="{html.escape(caption)}" src="{uri}"><figcaption>{html.escape(caption)}</figcaption></figure>'


def side_by_side(figures: Sequence[str]) -> str:
    """Markup of figures side by side, as many as there is room for."""
    return f'<div class="plots">{"".join(figures)}</div>'


def pictures(captioned: Sequence[tuple[Figure, str]]) -> str:
    """Figures side by side."""
    return side_by_side([picture(figure, caption) for figure, caption in captioned])


@dataclasses.dataclass(frozen=True)
class Card:
    """A picture with a title and lines of text: an image's data URI or nothing, and whether it is right, where that is known."""

    image: str
    title: str
    hint: str
    lines: Sequence[str]
    is_right: bool | None = None


def cards(each: Sequence[Card]) -> str:
    """A gallery."""
    parts = []
    for card in each:
        kind = "" if card.is_right is None else ' class="right"' if card.is_right else ' class="wrong"'
        picture = f'<img alt="" src="{html.escape(card.image)}">' if card.image.startswith("data:image/") else ""
        lines = "".join(f"<br>{html.escape(line)}" for line in card.lines)
        parts.append(f'<div{kind} title="{html.escape(card.hint)}">{picture}<b>{html.escape(card.title)}</b>{lines}</div>')
    return f'<div class="gallery">{"".join(parts)}</div>'


def fold(place: str, title: str, content: str) -> str:
    """Content that is shown on demand; place: where in the page, for titles that occur several times."""
    return f'<details id="fold-{anchor(f"{place} {title}")}"><summary>{html.escape(title)}</summary>{content}</details>'


def settings(text: str) -> str:
    """A configuration as it is, but for gin's rulers."""
    return f"<pre>{html.escape(re.sub(r'^# =+$', '', text, flags=re.MULTILINE))}</pre>"


def files(paths: Sequence[str]) -> str:
    """A line of links to files, relative to the page."""
    return "<p>" + " ".join(f'<a href="{html.escape(urllib.parse.quote(path))}">{html.escape(path)}</a>' for path in paths) + "</p>"


@dataclasses.dataclass(frozen=True)
class Link:
    """A cell that leads to a place in the page."""

    text: str
    place: str


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Link]],
    text_columns: tuple[int, ...] = (),
    most: int | None = None,
    groups: Mapping[str, Collection[int]] | None = None,
) -> str:
    """A table, which the page's script sorts and filters. Numbers are to the right, the first and the text columns to the left.

    Args:
      text_columns: places of the columns that sort as texts, whatever is in them.
      most: rows that are shown at a time; None for all. Without the script, the first ones.
      groups: places of the rows that each choice shows, by its label, in the order of the choices.
    """

    def content(value: str | Link) -> str:
        if isinstance(value, Link):
            return f'<a href="#{anchor(value.place)}">{html.escape(value.text)}</a>'
        return html.escape(value)

    kinds = [' class="text"' if column in text_columns else "" for column in range(len(head))]

    def cells(tag: str, values: Sequence[str | Link]) -> str:
        return "".join(f"<{tag}{kind}>{content(value)}</{tag}>" for kind, value in zip(kinds, values, strict=True))

    choices = {label: places for label, places in (groups or {}).items() if places}
    choices_of: list[list[str]] = [[] for _ in rows]
    for number, places in enumerate(choices.values()):
        for place in places:
            choices_of[place].append(str(number))
    lines = [f"<tr{_data(' '.join(each))}>{cells('td', row)}</tr>" for each, row in zip(choices_of, rows, strict=True)]
    body = f"<tbody>{''.join(lines[:most])}</tbody>"
    note = ""
    if most is not None and len(lines) > most:
        body += f"<tbody hidden>{''.join(lines[most:])}</tbody>"
        note = f"<noscript>{paragraph(f'The first {most:,} of {len(lines):,} rows; JavaScript shows the others.')}</noscript>"
    labels = json.dumps([[label, len(places)] for label, places in choices.items()]) if choices else ""
    return f'<div class="wide"><table{_data(labels)}><thead><tr>{cells("th", head)}</tr></thead>{body}</table></div>{note}'


def _data(groups: str) -> str:
    """An attribute for the script."""
    return f' data-groups="{html.escape(groups)}"' if groups else ""
