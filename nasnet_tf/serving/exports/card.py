"""Writes README.md, the card of an export: the content of manifest.json as text for people and model hubs. It adds no facts."""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from nasnet_tf.serving.exports.snippets import is_detector, snippets

NAME = "README.md"
_PAPER = "[arXiv 1707.07012](https://arxiv.org/abs/1707.07012)"
_LISTED = 20  # names of classes that the card lists
_NOT_MEASURED = ("epoch",)  # numbers in the row of an evaluation that are not results
_HUB_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")  # how hubs write identifiers, such as apache-2.0
_PIPELINES = {"classification": "image-classification", "multi_label": "image-classification", "detection": "object-detection"}
_LIBRARIES = {"model.keras": "keras", "saved_model.pb": "tensorflow", "onnx/": "onnx", "tflite/": "tflite"}


def write(folder: pathlib.Path, manifest: Mapping) -> None:
    """Writes the card of an export. The manifest does not list the card, so users may edit it."""
    (folder / NAME).write_text(card(manifest), encoding="utf-8")


def card(manifest: Mapping) -> str:
    """Returns the card as Markdown with YAML front matter, as model hubs read it."""
    sections = {
        "": _summary(manifest),
        "Data": _data(manifest),
        "Results": _results(manifest),
        "Files": _files(manifest),
        "How to load it": _loading(manifest),
        "Limits": [f"- {limit}" for limit in _limits(manifest)],
        "License": _license(manifest),
    }
    lines = ["---", *_front_matter(manifest), "---", "", f"# {_title(manifest)}"]
    for title, content in sections.items():
        lines += ([""] if not title else ["", f"## {title}", ""]) + list(content)
    return "\n".join(lines) + "\n"


def evaluations(manifest: Mapping) -> list[tuple[str, Mapping, dict[str, float]]]:
    """Returns (split, row, its results by name) for each evaluation whose split is known."""
    found = []
    for row in manifest.get("evaluations", ()):
        results = {name: value for name, value in row.items() if isinstance(value, float) and name not in _NOT_MEASURED}
        if row.get("split") and results:
            found.append((row["split"], row, results))
    return found


def _front_matter(manifest: Mapping) -> Iterator[str]:
    license_name = manifest.get("license")
    if license_name and _HUB_LICENSE.fullmatch(license_name):
        yield f"license: {license_name}"
    elif license_name:
        yield from ("license: other", f"license_name: {json.dumps(license_name)}")
    yield "library_name: nasnet_tf"
    if manifest["task"] in _PIPELINES:
        yield f"pipeline_tag: {_PIPELINES[manifest['task']]}"
    found = [tag for start, tag in _LIBRARIES.items() if any(file.startswith(start) for file in manifest["files"])]
    yield from ("tags:", "- nasnet", *(f"- {tag}" for tag in found))
    names = dict.fromkeys(name for _, _, results in evaluations(manifest) for name in results if name != "loss")
    if names:
        yield from ("metrics:", *(f"- {name}" for name in names))


def _title(manifest: Mapping) -> str:
    name = manifest["genotype"]["name"]
    cells = f"NASNet-{name.rpartition('_')[2].upper()}" if name else "custom NASNet cells"
    return f"{'Detector' if is_detector(manifest) else 'Classifier'} with {cells}, {_count(manifest['classes'], 'class', 'classes')}"


def _summary(manifest: Mapping) -> Iterator[str]:
    configuration, genotype = manifest["configuration"], manifest["genotype"]
    side = manifest["preprocessing"]["image_size"]
    version = manifest["package"]["nasnet_tf"]
    yield f"This network of NASNet cells ({_PAPER}) was exported with nasnet_tf {version} for the task `{_code(manifest['task'])}`."
    yield "The page was made from `manifest.json`."
    yield from ("", "| | |", "|---|---|")
    yield f"| parameters | {configuration['parameters']:,} |"
    yield f"| architecture | {configuration['cells_per_stack']} x 3 normal cells, {configuration['filters']} filters in the first stack |"
    yield f"| genotype | {_cell(genotype['name']) or 'custom'}, hash `{genotype['hash']}`; text in `manifest.json` |"
    yield f"| images | RGB, prepared as {side} x {side} pixels |"
    names = [_cell(each["name"]) for each in manifest["classes"]]
    rest = f" and {len(names) - _LISTED} more, listed in `manifest.json`" if len(names) > _LISTED else ""
    yield f"| classes | {', '.join(names[:_LISTED])}{rest} |"


def _data(manifest: Mapping) -> Iterator[str]:
    data = manifest.get("data") or {}
    if "source" not in data:
        yield "The manifest does not record the data that the network was trained with."
        return
    yield f"The recorded training data is `{_code(data['source'])}`."
    splits = {name.removesuffix("_split"): value for name, value in data.items() if name.endswith("_split")}
    yield from ("", *(f"- {name} split: `{_code(str(value))}`" for name, value in splits.items())) if splits else ()


def _results(manifest: Mapping) -> Iterator[str]:
    rows = evaluations(manifest)
    if not rows:
        yield "The manifest has no evaluation result of a known split."
        return
    names = list(dict.fromkeys(name for _, _, results in rows for name in results))
    yield from (_row("split", "data", "examples", *names), _row(*["---"] * (3 + len(names))))
    for split, row, results in rows:
        numbers = [f"{results[name]:.4f}" if name in results else "" for name in names]
        yield _row(_cell(split), _cell(row.get("data", "")), str(row.get("examples", "")), *numbers)
    if is_detector(manifest):
        yield from ("", "A result of -1 means that there was nothing to find.")


def _files(manifest: Mapping) -> Iterator[str]:
    yield f"Each file below was compared with the network on {_cell(manifest['checked_on'])} before the export was finished."
    measured = "scores" if is_detector(manifest) else "probabilities"
    yield from ("", _row("file", f"largest difference of {measured}", "agreement of labels"), _row("---", "---", "---"))
    for path, check in manifest["checks"].items():
        agreement = next((f"{value:.1%}" for name, value in check.items() if name.endswith("agreement")), "not measured")
        called = "saved_model.pb" if path == "." else f"{path}/saved_model.pb" if f"{path}/saved_model.pb" in manifest["files"] else path
        yield _row(f"`{called}`", f"{check['largest_difference']:.2g}", agreement)


def _loading(manifest: Mapping) -> Iterator[str]:
    yield "Run these snippets in this folder, beside a picture `photo.jpg`."
    for called, code in snippets(manifest):
        yield from ("", f"{called}:", "", "```python", *code.strip().splitlines(), "```")


def _limits(manifest: Mapping) -> Iterator[str]:
    side, classes = manifest["preprocessing"]["image_size"], _count(manifest["classes"], "class", "classes")
    if is_detector(manifest):
        yield f"The detector only finds objects of {classes}."
        yield f"Pictures are stretched to {side} x {side} pixels; small objects may become too small to be found."
    elif "probabilities" in manifest:
        yield f"The network only knows {classes}. Each class has its own probability; a picture that shows none may still get a high one."
    else:
        yield f"The network only knows {classes}, and the probabilities of every picture sum to 1, whatever it shows."
    if manifest["preprocessing"].get("kind") == "imagenet":
        part = manifest["preprocessing"].get("central_fraction", 1.0)
        yield f"The network sees the central {part:.1%} of each side of a picture, resized to {side} x {side} pixels."
    elif manifest["preprocessing"].get("kind") == "cifar":
        yield f"Pictures of other sizes are stretched to {side} x {side} pixels."
    if not evaluations(manifest):
        yield "The manifest does not record how accurate the network is."
    if any(file.startswith("tflite/") for file in manifest["files"]):
        yield "The LiteRT files refuse empty batches."
    if any(file.endswith("saved_model.pb") for file in manifest["files"]):
        yield "A SavedModel holds a graph, which may read and write files: run it only if you trust its author."


def _license(manifest: Mapping) -> Iterator[str]:
    said = manifest.get("license")
    yield f"The exporter states this license for the weights: {_cell(said)}." if said else "The exporter states no license for the weights."


def _count(values: Sequence, one: str, several: str) -> str:
    return f"{len(values):,} {one if len(values) == 1 else several}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Returns text from others as one line that is safe in a table: neither markup nor HTML."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
