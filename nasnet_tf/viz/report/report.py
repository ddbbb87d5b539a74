"""Writes one self-contained page about the searches and trainings in a folder; it opens offline."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.nas.trials.journal import NAME as JOURNAL
from nasnet_tf.viz.report import page, search_tables, searches, trainings
from nasnet_tf.viz.report.trainings import METRICS, PREDICTIONS, TUNED


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A kind of section: the patterns of the files that it depends on, and the function that reads it from a folder."""

    files: tuple[str, ...]
    read: Callable


class Report:
    """The page of a folder, about the work in it and in its direct subfolders. Each `write` reads only folders whose files changed.

    Args:
      workdir: the folder. The page is written into it.

    Raises:
      InputError: the folder does not exist.
    """

    def __init__(self, workdir: pathlib.Path):
        if not workdir.is_dir():
            raise InputError(f"{workdir}: no such folder; expected the work folder of a search or a training, or a folder of work folders")
        self._workdir = workdir
        self._search = _Kind(searches.FILES, functools.partial(searches.read_search, root=workdir))
        self._known: dict[tuple, tuple] = {}  # (kind, folder) -> (state of its files, section)

    def write(self, refresh_seconds: float | None = None) -> pathlib.Path:
        """Writes report.html and returns its path.

        Args:
          refresh_seconds: for a page about running work: the page reloads at this interval, and an empty folder is no error.

        Raises:
          InputError: the folder holds no search, training, tuning or predictions, or a file is damaged.
        """
        now = time.time()
        folders = [self._workdir, *sorted(path for path in self._workdir.iterdir() if path.is_dir())]
        begun = [folder for folder in folders if search_tables.has_begun(folder)]
        begun = [folder for folder in begun if folder == self._workdir or not searches.is_retraining(folder)]
        found = [self._section(self._search, folder) for folder in begun]
        sections = [(searches.title(search.name), search.section) for search in found]
        if len(found) > 1:
            sections.insert(0, ("Comparison", searches.compare(found)))
        others = [folder for folder in folders if not (folder / JOURNAL).is_file()]  # a search has a metrics.jsonl too
        sections += [self._section(_TRAINING, folder) for folder in others if (folder / METRICS).is_file()]
        sections += [self._section(_TUNING, folder) for folder in folders if trainings.is_tuning(folder)]
        sections += [self._section(_PREDICTED, folder) for folder in folders if (folder / PREDICTIONS).is_file()]
        if not sections and not refresh_seconds and not any((folder / JOURNAL).is_file() for folder in folders):
            expected = f"{JOURNAL}, {METRICS}, {PREDICTIONS}, {TUNED}"
            raise InputError(f"{self._workdir}: nothing to report; expected one of {expected} in this folder or directly below it")
        parts = [page.moment("written", now)]
        if refresh_seconds:
            parts.append(page.paragraph(f"Live: this page reloads every {refresh_seconds:g} seconds."))
        parts.append(page.links([title for title, _ in sections]) if len(sections) > 1 else "")
        parts += [section for _, section in sections] or [page.paragraph("No results yet: the search has just begun.")]
        path = self._workdir / "report.html"
        content = page.document(f"{self._workdir.resolve().name}: NASNet report", "".join(parts), refresh_seconds)
        replace_file(path, content.encode(errors="backslashreplace"))  # names of folders may not be UTF-8
        return path

    def _section(self, kind: _Kind, folder: pathlib.Path):
        """Returns the section of a folder, from the cache if none of its files changed."""
        files = sorted(path for pattern in kind.files for path in folder.glob(pattern))
        state = [(path, status.st_size, status.st_mtime_ns) for path in files for status in [path.stat()]]
        before, section = self._known.get((kind, folder), (None, None))
        if before != state:
            section = kind.read(folder)
            self._known[kind, folder] = (state, section)
        return section


_TRAINING = _Kind(trainings.TRAINING_FILES, trainings.read_training)
_TUNING = _Kind(trainings.TUNING_FILES, trainings.read_tuning)
_PREDICTED = _Kind(trainings.PREDICTION_FILES, trainings.read_predictions)
