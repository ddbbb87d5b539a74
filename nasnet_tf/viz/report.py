"""One page about the searches and trainings of a folder: opens offline, needs nothing beside itself."""

import html
import json
import pathlib
from collections.abc import Sequence

from nasnet_tf.errors import InputError
from nasnet_tf.nas.journal import NAME as JOURNAL
from nasnet_tf.nas.journal import Trial, read_identity, read_trials
from nasnet_tf.training.progress import format_seconds
from nasnet_tf.viz import plots
from nasnet_tf.viz.diagram import draw_genotype, figure_to_svg

_STYLE = """
:root { color-scheme: light dark; --text: #18181b; --soft: #71717a; --page: #fafafa; --card: #ffffff; --line: #e4e4e7; --accent: #2563eb; }
@media (prefers-color-scheme: dark) {
  :root { --text: #f4f4f5; --soft: #a1a1aa; --page: #18181b; --card: #27272a; --line: #3f3f46; --accent: #93c5fd; }
}
body { margin: 0 auto; max-width: 1100px; padding: 2rem 1rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 1rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
.numbers { display: flex; flex-wrap: wrap; gap: .7rem; }
.numbers div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem .9rem; min-width: 7rem; }
.numbers b { display: block; font-size: 1.35rem; color: var(--accent); font-variant-numeric: tabular-nums; }
.numbers span { color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: .7rem; overflow-x: auto; }
figure svg { width: 100%; height: auto; max-height: 40rem; } figcaption { color: #52525b; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--soft); }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--accent); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem; overflow-x: auto; font-size: .8rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .7rem; }
.gallery div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem; text-align: center;
  font-size: .85rem; }
.gallery img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; }
"""


def write_report(workdir: pathlib.Path) -> pathlib.Path:
    """Writes report.html into a folder, about what is in it and in its direct subfolders.

    Raises:
      InputError: neither a search nor a training nor predictions are there.
    """
    if not workdir.is_dir():
        raise InputError(f"{workdir}: no such folder; expected the work folder of a search or a training, or a folder of such")
    folders = [workdir, *sorted(path for path in workdir.iterdir() if path.is_dir())]
    sections = [_search(folder) for folder in folders if (folder / JOURNAL).is_file()]
    sections += [_training(folder) for folder in folders if (folder / "metrics.jsonl").is_file()]
    sections += [_predictions(folder / "predictions.json") for folder in folders if (folder / "predictions.json").is_file()]
    if not sections:
        raise InputError(f"{workdir}: nothing to report; looked there and one folder below for {JOURNAL}, metrics.jsonl, predictions.json")
    title = f"{html.escape(workdir.resolve().name)}: NASNet report"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{''.join(sections)}</body></html>\n"
    )
    path = workdir / "report.html"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)
    return path


def leaderboard(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The finished trials of the highest rewards, the earlier first among equals."""
    finished = [trial for trial in trials if trial.status == "finished"]
    return sorted(finished, key=lambda trial: (-trial.reward, trial.number))[:count]


def _search(folder: pathlib.Path) -> str:
    trials, identity = read_trials(folder), read_identity(folder)
    best = leaderboard(trials, 10)
    counts = {status: sum(trial.status == status for trial in trials) for status in ("finished", "running", "failed", "infeasible")}
    seconds = sum(trial.seconds for trial in trials)
    numbers = {
        "best validation accuracy": f"{best[0].reward:.4f}" if best else "-",
        "trials rewarded": str(counts["finished"]),
        "running or to be run": str(counts["running"]),
        "failed": str(counts["failed"]),
        "infeasible": str(counts["infeasible"]),
        "seconds a child": f"{seconds / counts['finished']:.1f}" if counts["finished"] else "-",
        "time of all children": format_seconds(seconds),
    }
    parts = [f"<h2>Search: {html.escape(folder.name)}</h2>", _numbers(numbers)]
    if best:
        caption = f"The best cells: trial {best[0].number}, validation accuracy {best[0].reward:.4f}"
        parts += [f"<h3>Best cells</h3>{_figure(draw_genotype(best[0].genotype), caption)}"]
        parts += [f"<h3>Leaderboard</h3>{_leaderboard(best)}"]
        pictures = [
            (plots.plot_rewards(trials), "Reward over trials"),
            (plots.plot_accuracy_against_cost(trials), "Reward against cost; larger dots have more parameters"),
            (plots.plot_operation_frequencies(trials), "Which operations were proposed"),
        ]
        parts += [f'<h3>Over time</h3><div class="plots">{"".join(_figure(*picture) for picture in pictures)}</div>']
    troubled = [trial for trial in trials if trial.reason]
    if troubled:
        rows = [[str(trial.number), trial.status, str(trial.attempts), trial.reason] for trial in troubled]
        parts.append(f"<h3>Failures</h3>{_table(['trial', 'status', 'executions', 'reason'], rows, text_columns=(1, 3))}")
    settings = "\n".join(f"{name} = {value}" for name, value in identity.items())
    parts.append(_details("Settings of the search", f"<pre>{html.escape(settings)}</pre>"))
    return "".join(parts)


def _leaderboard(best: Sequence[Trial]) -> str:
    rows = []
    for rank, trial in enumerate(best, 1):
        costs = [_thousands(trial.metrics.get(name)) for name in ("parameters", "mult_adds")]
        rows.append([str(rank), str(trial.number), f"{trial.reward:.4f}", *costs, f"{trial.seconds:.1f}", trial.hash])
    table = _table(["rank", "trial", "validation accuracy", "parameters", "multiply-adds", "seconds", "architecture"], rows)
    drawings = [
        _details(f"Cells of rank {rank}, trial {trial.number}", _figure(draw_genotype(trial.genotype), ""))
        for rank, trial in enumerate(best[1:5], 2)
    ]
    return table + "".join(drawings)


def _training(folder: pathlib.Path) -> str:
    rows = []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # a training is writing it
    evaluations = [json.loads(path.read_text()) for path in sorted(folder.glob("evaluation-*.json"))]
    numbers = {f"accuracy on {row['split']}, {row['examples']} examples": f"{row['accuracy']:.4f}" for row in evaluations}
    watched = [row for row in rows if row["kind"] == "evaluation"]
    if watched:
        numbers[f"last accuracy on {watched[-1]['split']}"] = f"{watched[-1]['accuracy']:.4f}"
    if rows:
        numbers |= {"epochs": f"{rows[-1]['epoch']:.1f}", "steps": str(rows[-1]["step"])}
    parts = [f"<h2>Training: {html.escape(folder.name)}</h2>", _numbers(numbers)]
    if rows:
        parts.append(f"<h3>Curves</h3>{_figure(plots.plot_training_curves(rows), 'Loss and accuracy over epochs')}")
    for name in ("config.gin", "operative_config.gin"):
        if (folder / name).is_file():
            parts.append(_details(name, f"<pre>{html.escape((folder / name).read_text())}</pre>"))
    return "".join(parts)


def _predictions(path: pathlib.Path) -> str:
    cards = []
    for row in json.loads(path.read_text()):
        image = row.get("image", "")
        picture = f'<img alt="" src="{html.escape(image)}">' if image.startswith("data:image/") else ""
        classes = "<br>".join(f"{html.escape(top['class'])} {top['probability']:.1%}" for top in row["top"])
        cards.append(f"<div>{picture}<b>{html.escape(pathlib.Path(row['file']).name)}</b><br>{classes}</div>")
    return f'<h2>Predictions</h2><div class="gallery">{"".join(cards)}</div>'


def _numbers(numbers: dict[str, str]) -> str:
    cards = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in numbers.items())
    return f'<div class="numbers">{cards}</div>'


def _figure(figure, caption: str) -> str:
    return f"<figure>{figure_to_svg(figure)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _details(title: str, content: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>{content}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: tuple[int, ...] = ()) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        kinds = [' class="text"' if column in text_columns else "" for column in range(len(values))]
        return "".join(f"<{tag}{kind}>{html.escape(value)}</{tag}>" for kind, value in zip(kinds, values, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def _thousands(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
