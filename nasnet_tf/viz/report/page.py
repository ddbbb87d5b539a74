"""Functions that return the parts of a self-contained HTML page as markup; text is escaped."""

import base64
import dataclasses
import datetime
import functools
import html
import json
import os
import pathlib
import re
import urllib.parse
from collections.abc import Collection, Mapping, Sequence

from matplotlib.figure import Figure

from nasnet_tf.viz.diagram import figure_to_svg

_HERE = pathlib.Path(__file__).parent
# tables.js comes before page.js, because it changes the heights of tables, and page.js scrolls to the target of a link.
SCRIPTS = ("memory.js", "tables.js", "page.js")


def document(title: str, content: str, refresh_seconds: float | None) -> str:
    """Returns a whole page.

    Args:
      title: plain text.
      content: markup of the body.
      refresh_seconds: the page reloads at this interval, at least 1 second; None for never.
    """
    seconds = max(1, round(refresh_seconds)) if refresh_seconds else None
    # Only for browsers without scripts. Elsewhere page.js reloads the page, because a refresh does not reload an address with a #place.
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
    """Gives each SVG picture ids of its own. With shared ids, a picture could refer to a definition in a closed <details>, which fails."""
    number = 0

    def renamed(picture: re.Match) -> str:
        nonlocal number
        number += 1
        return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{number}-", picture.group())

    return re.sub(r"<svg.*?</svg>", renamed, content, flags=re.DOTALL)


def heading(level: int, text: str) -> str:
    """Returns a heading. Headings of level 2 are targets of `links`."""
    return f'<h2 id="{anchor(text)}">{html.escape(text)}</h2>' if level == 2 else f"<h{level}>{html.escape(text)}</h{level}>"


def anchor(text: str) -> str:
    """Converts the name of a place in the page to the id that links refer to."""
    return re.sub(r"\W+", "-", text).lower()


def links(texts: Sequence[str]) -> str:
    """Returns a line of links to headings of level 2."""
    return "<nav>" + "".join(f'<a href="#{anchor(text)}">{html.escape(text)}</a>' for text in texts) + "</nav>"


def paragraph(text: str) -> str:
    """Returns a paragraph in a muted color."""
    return f'<p class="soft">{html.escape(text)}</p>'


def moment(label: str, unix_seconds: float) -> str:
    """Returns a line with a point in time, in local time. The page's script shows how long ago that was, and updates it."""
    when = datetime.datetime.fromtimestamp(unix_seconds).astimezone()
    stamp = f'<time datetime="{when.isoformat(timespec="seconds")}">{when:%Y-%m-%d %H:%M:%S %Z}</time><span></span>'
    return f'<p class="soft">{html.escape(label)} {stamp}</p>'


def numbers(values: dict[str, str]) -> str:
    """Returns cards of large numbers with their names below; `values` is {name: number}."""
    cards = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in values.items())
    return f'<div class="numbers">{cards}</div>'


def picture(figure: Figure, caption: str, is_drawing: bool = False, place: str = "") -> str:
    """Returns a figure with a caption.

    Args:
      figure: drawn as SVG.
      caption: plain text.
      is_drawing: True limits the width. The figure then scrolls sideways on narrow screens, so that it stays readable, and is not enlarged
        on wide ones.
      place: name of the place, for links to this figure; "" if there are none.
    """
    svg, width, marks = figure_to_svg(figure), figure.get_figwidth(), f' id="{anchor(place)}"' if place else ""
    if is_drawing:
        marks += ' class="drawing"'
        svg = svg.replace("<svg ", f'<svg style="min-width: {4.2 * width:.0f}rem; max-width: {7 * width:.0f}rem" ', 1)
    return f"<figure{marks}>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def image(svg: bytes, caption: str) -> str:
    """Returns an SVG file as a figure with a caption. It is embedded as an image, so that scripts in it do not run."""
    uri = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f'<figure><img alt="{html.escape(caption)}" src="{uri}"><figcaption>{html.escape(caption)}</figcaption></figure>'


def side_by_side(figures: Sequence[str]) -> str:
    """Lays out figures side by side, as many as fit."""
    return f'<div class="plots">{"".join(figures)}</div>'


def pictures(captioned: Sequence[tuple[Figure, str]]) -> str:
    """Returns figures with captions, side by side."""
    return side_by_side([picture(figure, caption) for figure, caption in captioned])


@dataclasses.dataclass(frozen=True)
class Card:
    """A card of a gallery.

    Attributes:
      image: data URI of an image; anything else is not shown.
      title: text below the image.
      hint: text that appears when the pointer is over the card.
      lines: texts below the title.
      is_right: whether the prediction is right; None where that is unknown.
    """

    image: str
    title: str
    hint: str
    lines: Sequence[str]
    is_right: bool | None = None


def cards(each: Sequence[Card]) -> str:
    """Returns a gallery of cards, with a green border around right ones and a red one around wrong ones."""
    parts = []
    for card in each:
        kind = "" if card.is_right is None else ' class="right"' if card.is_right else ' class="wrong"'
        picture = f'<img alt="" src="{html.escape(card.image)}">' if card.image.startswith("data:image/") else ""
        lines = "".join(f"<br>{html.escape(line)}" for line in card.lines)
        parts.append(f'<div{kind} title="{html.escape(card.hint)}">{picture}<b>{html.escape(card.title)}</b>{lines}</div>')
    return f'<div class="gallery">{"".join(parts)}</div>'


def fold(place: str, title: str, content: str) -> str:
    """Returns a section that the reader can unfold; `place` tells apart sections with equal titles."""
    return f'<details id="fold-{anchor(f"{place} {title}")}"><summary>{html.escape(title)}</summary>{content}</details>'


def settings(text: str) -> str:
    """Returns a configuration as preformatted text, without gin's ruler lines."""
    return f"<pre>{html.escape(re.sub(r'^# =+$', '', text, flags=re.MULTILINE))}</pre>"


def files(paths: Sequence[str]) -> str:
    """Returns a line of links to files; paths are relative to the page."""
    links = (f'<a href="{html.escape(urllib.parse.quote(os.fsencode(path)))}">{html.escape(path)}</a>' for path in paths)
    return f"<p>{' '.join(links)}</p>"


@dataclasses.dataclass(frozen=True)
class Link:
    """A table cell that links to a place in the page."""

    text: str
    place: str


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Link]],
    text_columns: tuple[int, ...] = (),
    rows_per_page: int | None = None,
    groups: Mapping[str, Collection[int]] | None = None,
) -> str:
    """Returns a table that the page's script sorts and filters. The first column and text columns are aligned left, all others right.

    Args:
      head: titles of the columns.
      rows: cells of each row.
      text_columns: indices of the columns that always sort as texts.
      rows_per_page: number of rows that are shown at a time; None for all. Without the script, only the first ones are shown.
      groups: indices of the rows in each group, by the group's label. The reader can choose a group; groups may overlap.
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
    body = f"<tbody>{''.join(lines[:rows_per_page])}</tbody>"
    note = ""
    if rows_per_page is not None and len(lines) > rows_per_page:
        body += f"<tbody hidden>{''.join(lines[rows_per_page:])}</tbody>"
        note = f"<noscript>{paragraph(f'The first {rows_per_page:,} of {len(lines):,} rows. The others need JavaScript.')}</noscript>"
    labels = json.dumps([[label, len(places)] for label, places in choices.items()]) if choices else ""
    return f'<div class="wide"><table{_data(labels)}><thead><tr>{cells("th", head)}</tr></thead>{body}</table></div>{note}'


def _data(groups: str) -> str:
    """Returns the attribute that tells the script about groups of rows; "" if there are none."""
    return f' data-groups="{html.escape(groups)}"' if groups else ""
