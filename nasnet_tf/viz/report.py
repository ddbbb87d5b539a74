"""One page about the searches and trainings of a folder: opens offline, needs nothing beside itself."""

import dataclasses
import html
import json
import pathlib
import time
from collections.abc import Callable

from nasnet_tf.errors import InputError
from nasnet_tf.files import replace_file
from nasnet_tf.nas.journal import NAME as JOURNAL
from nasnet_tf.viz import page, plots, searches

_METRICS, _PREDICTIONS, _CONFIGS = "metrics.jsonl", "predictions.json", ("config.gin", "operative_config.gin")


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A kind of section: the patterns of all files that it is made of, and what makes it of a folder."""

    files: tuple[str, ...]
    read: Callable


class Report:
    """The page of a folder, about what is in it and in its direct subfolders; reads again only what changed since it was last written.

    Raises:
      InputError: no such folder.
    """

    def __init__(self, workdir: pathlib.Path):
        if not workdir.is_dir():
            raise InputError(f"{workdir}: no such folder; expected the work folder of a search or a training, or a folder of such")
        self._workdir = workdir
        self._known: dict[tuple, tuple] = {}  # (kind, folder) -> (state of its files, section)

    def write(self, refresh_seconds: float | None = None) -> pathlib.Path:
        """Writes report.html.

        Args:
          refresh_seconds: of a page about something that goes on: loads itself again so often, and waits if there is nothing yet.

        Raises:
          InputError: neither a search nor a training nor predictions are there, or what is there is damaged.
        """
        now = time.time()
        folders = [self._workdir, *sorted(path for path in self._workdir.iterdir() if path.is_dir())]
        begun = [folder for folder in folders if searches.has_begun(folder)]
        begun = [folder for folder in begun if folder == self._workdir or not searches.is_retraining(folder)]
        found = [self._section(_SEARCH, folder) for folder in begun]
        sections = [(searches.title(search.name), search.section) for search in found]
        if len(found) > 1:
            sections.insert(0, ("Comparison", searches.compare(found)))
        others = [folder for folder in folders if not (folder / JOURNAL).is_file()]  # a search has metrics of its own
        sections += [self._section(_TRAINING, folder) for folder in others if (folder / _METRICS).is_file()]
        sections += [self._section(_PREDICTED, folder) for folder in folders if (folder / _PREDICTIONS).is_file()]
        if not sections and not refresh_seconds and not any((folder / JOURNAL).is_file() for folder in folders):
            looked = f"{JOURNAL}, {_METRICS}, {_PREDICTIONS}"
            raise InputError(f"{self._workdir}: nothing to report; looked there and one folder below for {looked}")
        parts = [page.moment("written", now)]
        if refresh_seconds:
            parts.append(page.paragraph(f"Live: the page renews itself every {refresh_seconds:g} seconds."))
        parts.append(page.links([title for title, _ in sections]) if len(sections) > 1 else "")
        parts += [section for _, section in sections] or [page.paragraph("Nothing has ended yet: the search has only just begun.")]
        path = self._workdir / "report.html"
        content = page.document(f"{self._workdir.resolve().name}: NASNet report", "".join(parts), refresh_seconds)
        replace_file(path, content)
        return path

    def _section(self, kind: _Kind, folder: pathlib.Path):
        files = sorted(path for pattern in kind.files for path in folder.glob(pattern))
        state = [(path, status.st_size, status.st_mtime_ns) for path in files for status in [path.stat()]]
        before, section = self._known.get((kind, folder), (None, None))
        if before != state:
            section = kind.read(folder)
            self._known[kind, folder] = (state, section)
        return section


def _training(folder: pathlib.Path) -> tuple[str, str]:
    rows = []
    for line in (folder / _METRICS).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # a training is writing it
    evaluations = [_json(path) for path in sorted(folder.glob("evaluation-*.json"))]
    numbers = {f"accuracy on {row['split']}, {row['examples']} examples": f"{row['accuracy']:.4f}" for row in evaluations}
    watched = [row for row in rows if row["kind"] == "evaluation"]
    if watched:
        numbers[f"last accuracy on {watched[-1]['split']}"] = f"{watched[-1]['accuracy']:.4f}"
    if rows:
        numbers |= {"epochs": f"{rows[-1]['epoch']:.1f}", "steps": str(rows[-1]["step"])}
    title = f"Training: {folder.resolve().name}"
    parts = [page.heading(2, title), page.numbers(numbers)]
    if rows:
        curves = page.picture(plots.plot_training_curves(rows), "Loss and accuracy over epochs", is_drawing=True)
        parts.append(page.heading(3, "Curves") + curves)
    for name in _CONFIGS:
        if (folder / name).is_file():
            parts.append(page.fold(title, name, page.settings((folder / name).read_text())))
    return title, "".join(parts)


def _predictions(folder: pathlib.Path) -> tuple[str, str]:
    cards = []
    for row in _prediction_rows(folder / _PREDICTIONS):
        image = row.get("image", "")
        picture = f'<img alt="" src="{html.escape(image)}">' if image.startswith("data:image/") else ""
        classes = "<br>".join(f"{html.escape(top['class'])} {top['probability']:.1%}" for top in row.get("top", []))
        classes += html.escape(row.get("error", ""))
        cards.append(f"<div>{picture}<b>{html.escape(pathlib.Path(row['file']).name)}</b><br>{classes}</div>")
    title = f"Predictions: {folder.resolve().name}"
    return title, f'{page.heading(2, title)}<div class="gallery">{"".join(cards)}</div>'


def _prediction_rows(path: pathlib.Path) -> list[dict]:
    """What predict wrote, a line of JSON for each image; a last line that is not whole is still being written."""
    lines = path.read_text().splitlines(keepends=True)
    try:
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise InputError(f"{path}: damaged; expected a line of JSON for each image ({error})") from error
    if not all(map(_is_prediction, rows)):
        raise InputError(f'{path}: damaged; expected lines such as {{"file": ..., "top": [{{"class": ..., "probability": ...}}]}}')
    return rows


def _is_prediction(row) -> bool:
    try:
        return isinstance(row["file"], str) and all(
            isinstance(top["class"], str) and 0 <= top["probability"] <= 1 for top in row.get("top", [])
        )
    except (TypeError, KeyError, AttributeError):
        return False


def _json(path: pathlib.Path):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not a whole JSON file ({error})") from error


_SEARCH = _Kind(searches.FILES, searches.read_search)
_TRAINING = _Kind((_METRICS, "evaluation-*.json", *_CONFIGS), _training)
_PREDICTED = _Kind((_PREDICTIONS,), _predictions)
