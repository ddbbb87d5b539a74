"""Reads folders of pictures with annotations in COCO's JSON format (cocodataset.org/#format-data)."""

import itertools
import json
import pathlib
import re
from collections.abc import Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.displayed import as_displayed
from nasnet_tf.data.objects import Notes, Picture, Pictures, check_pictures, is_number, make_picture
from nasnet_tf.data.picture_files import check_found, find_pictures

_LAYOUT = (
    "<folder>/annotations/instances_<split>.json with <folder>/<split>/ or <folder>/images/<split>/, or a JSON file beside its pictures"
)


def open_coco(name: str, root: pathlib.Path) -> Pictures:
    """Opens a folder of pictures with annotations. Oddities in the annotations are handled by fixed rules and counted in the notes.

    Raises:
      InputError: the folder or its annotations are missing, a file is not in COCO's format, splits have different categories, or too many
        pictures are missing.
    """
    if not root.is_dir():
        raise InputError(f"data set {name!r}: no folder {root}; expected {_LAYOUT}")
    files = _annotation_files(root)
    if not files:
        raise InputError(f"data set {name!r}: no annotations in {root}; expected {_LAYOUT}")
    categories, splits, notes = None, {}, {}
    for split, path in files.items():
        content = _read(path)
        notes[split] = Notes()
        mine = _categories(content, path, notes[split])
        if categories is not None and mine != categories:
            raise InputError(f"{path}: expected the categories of the other splits, {categories}; got {mine}")
        categories = mine
        splits[split] = _pictures(content, path, _folders(root, path, split), list(categories), notes[split])
    check_pictures(name, splits, list(categories.values()))
    return Pictures(name, tuple(categories.values()), tuple(categories), splits, notes)


def _annotation_files(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns {split: file}: the JSON files in annotations/, if possible instances_<split>.json; else <split>/*.json; else *.json."""
    files = sorted((root / "annotations").glob("*.json"))
    files = [path for path in files if path.name.startswith("instances_")] or files
    if files:
        return _by_split(files)
    inside = sorted(root.glob("*/*.json"))
    if inside:
        for path, other in itertools.pairwise(inside):
            if path.parent == other.parent:
                raise InputError(f"{path.parent}: expected one annotation file in the folder of a split, got {path.name} and {other.name}")
        return {path.parent.name: path for path in inside}
    return _by_split(sorted(root.glob("*.json")))


def _by_split(files: list[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Returns {split: file}. Files are called instances_<split> or <split>; a single file without the prefix is "train"."""
    if len(files) == 1 and not files[0].stem.startswith("instances_"):
        return {"train": files[0]}
    return {path.stem.removeprefix("instances_"): path for path in files}


def _read(path: pathlib.Path) -> dict:
    try:
        content = json.loads(path.read_bytes())  # bytes, because JSON may be in UTF-8, UTF-16 or UTF-32
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    for field in ("images", "annotations", "categories"):
        found = content.get(field) if isinstance(content, dict) else None
        if not (isinstance(found, list) and all(isinstance(row, dict) for row in found)):
            raise InputError(f"{path}: is not in COCO's format; expected a list of objects as {field!r}")
    return content


def _categories(content: dict, path: pathlib.Path, notes: Notes) -> dict[int, str]:
    """Returns {id: name}, in ascending order of ids."""
    found = {}
    for row in content["categories"]:
        number, name = _integer(row.get("id")), row.get("name")
        if number is None or not isinstance(name, str):
            raise InputError(f"{path}: expected a category with an integer id and a name, got {row}")
        if number in found:
            notes.add("categories with a repeated id: the first one counts", f"{number} {name!r}")
            continue
        if name in found.values():
            notes.add("categories with a repeated name: the id is added to the name", f"{number} {name!r}")
            name = f"{name} ({number})"
        found[number] = name
    return dict(sorted(found.items()))


def _integer(value) -> int | None:
    """Returns an integer that is given as int, float or text; None for anything else."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else None
    return int(value) if is_number(value) and value == int(value) else None


def _id(value) -> int | str | None:
    """Returns the id of a picture, which may be text, such as its file name; None if there is none. Ids are compared as text: 7 is "7"."""
    return value if isinstance(value, str) and value else _integer(value)


def _folders(root: pathlib.Path, path: pathlib.Path, split: str) -> list[pathlib.Path]:
    """Returns the existing folders in which the pictures of a split may be."""
    places = [root / "images" / split, root / split, path.parent, path.parent / "images", root / "images", root]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _pictures(content: dict, path: pathlib.Path, folders: list[pathlib.Path], category_ids: list[int], notes: Notes) -> list[Picture]:
    rows: dict[str, list] = {}
    images: dict[str, tuple[int | str, pathlib.Path, tuple[int, int] | None]] = {}
    missing = set()
    listed = [image["file_name"] for image in content["images"] if isinstance(image.get("file_name"), str)]
    files = find_pictures(listed, folders)
    check_found(path, listed, files, folders)
    for image in content["images"]:
        image_id, file_name = _id(image.get("id")), image.get("file_name")
        if image_id is None or not isinstance(file_name, str):
            notes.add("pictures without an id or file name: left out", str(file_name or image_id))
        elif str(image_id) in images or str(image_id) in missing:
            notes.add("pictures with a repeated id: the first one counts", f"{image_id} {file_name}")
        else:
            file = files.get(file_name)
            if file is None:
                notes.add("missing pictures: left out", file_name)
                missing.add(str(image_id))
            else:
                size = (image.get("height"), image.get("width"))
                size = size if all(is_number(side) and side > 0 for side in size) else None
                images[str(image_id)] = image_id, file, size
    seen = set()
    for annotation in content["annotations"]:
        called = f"annotation {annotation.get('id')}"
        if called in seen and annotation.get("id") is not None:
            notes.add("annotations with a repeated id: both count", called)
        seen.add(called)
        image_id = str(_id(annotation.get("image_id")))
        if image_id in missing:
            continue
        if image_id not in images:
            notes.add("annotations of pictures that are not listed: left out", called)
        elif _integer(annotation.get("category_id")) not in category_ids:
            notes.add("annotations of categories that are not listed: left out", f"{called} of {annotation.get('category_id')}")
        else:
            row = _row(annotation, category_ids)
            if row is None:
                notes.add("annotations without four finite numbers as a box: left out", called)
            else:
                rows.setdefault(image_id, []).append(row)
    pictures = [make_picture(file, image_id, rows.get(key, []), size, notes) for key, (image_id, file, size) in images.items()]
    return [as_displayed(picture, notes) for picture in pictures]


def _row(annotation: Mapping, category_ids: list[int]) -> tuple | None:
    box = annotation.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        return None
    left, top, width, height = box
    area = annotation.get("area")
    label = category_ids.index(_integer(annotation["category_id"]))
    is_crowd = annotation.get("iscrowd") in (1, "1")
    return (top, left, top + height, left + width), label, is_crowd, area if is_number(area) else width * height
