"""Reads Pascal VOC's annotations, an XML file for each picture, in the folder layouts of VOC and of annotation tools."""

import pathlib
import xml.etree.ElementTree
from collections.abc import Mapping, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import IMAGE_SUFFIXES, shown
from nasnet_tf.data.displayed import as_displayed
from nasnet_tf.data.objects import Notes, Picture, Pictures, check_pictures, make_picture
from nasnet_tf.data.picture_files import check_found
from nasnet_tf.data.split_names import our_name

_LAYOUT = (
    "Annotations/*.xml, ImageSets/Main/<split>.txt and JPEGImages/; or <split>/*.xml beside the pictures; "
    "or *.xml beside the pictures or in one folder, all for the split `train`"
)
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def open_voc(name: str, root: pathlib.Path) -> Pictures:
    """Opens a folder such as VOCdevkit/VOC2007.

    Objects marked as difficult are treated as crowds, which evaluation ignores, as VOC's own metric does. Coordinates count from 1 and
    include the last pixel, so the edges of a box are (xmin - 1, ymin - 1, xmax, ymax).

    Raises:
      InputError: there are no annotations, too many pictures are missing, or an annotation cannot be read.
    """
    splits = _annotation_files(root)
    if not splits:
        raise InputError(f"data set {name!r}: no annotations in {shown(root)}; expected {_LAYOUT}")
    found, notes, class_names = {}, {}, set()
    folders: dict[pathlib.Path, dict[str, pathlib.Path]] = {}
    for split, files in splits.items():
        notes[split] = Notes()
        rows = {_relative_name(root, path): _read(root, path, folders, notes[split]) for path in files}
        check_found(root, list(rows), [stem for stem, row in rows.items() if row], list(dict.fromkeys(_places(root, files[0]))))
        found[split] = [row for row in rows.values() if row]
        class_names |= {row[1] for _, objects, _ in found[split] for row in objects}
    names = sorted(class_names)
    pictures = {split: _pictures(rows, names, notes[split]) for split, rows in found.items()}
    check_pictures(name, pictures, names)
    return Pictures(name, tuple(names), tuple(range(1, len(names) + 1)), pictures, notes)


def _annotation_files(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Returns {split: its XML files}."""
    annotations = root / "Annotations"
    lists = [
        path for path in sorted((root / "ImageSets" / "Main").glob("*.txt")) if "_" not in path.stem
    ]  # lists with "_" in their names are for a single class
    if lists and annotations.is_dir():
        lines = {path.stem: path.read_text(errors="surrogateescape").splitlines() for path in lists}
        return {split: [_listed(annotations, line.strip()) for line in rows if line.strip()] for split, rows in lines.items() if any(rows)}
    if files := sorted(annotations.rglob("*.xml")) or sorted(root.glob("*.xml")):
        return {"train": files}
    found = {folder.name: files for folder in sorted(root.glob("*/")) if (files := sorted(folder.glob("*.xml")))}
    is_undivided = len(found) == 1 and our_name(*found) is None  # the only folder is no split, such as annotations/ beside images/
    return {"train": next(iter(found.values()))} if is_undivided else found


def _listed(annotations: pathlib.Path, line: str) -> pathlib.Path:
    """Returns the annotation for a line of a list. The name may have spaces or a suffix, and a number may follow it."""
    first = line.split()[0]
    places = [annotations / f"{name}.xml" for stem in (line, first) for name in (stem, pathlib.Path(stem).stem)]
    return next((path for path in places if path.is_file()), annotations / f"{first}.xml")


def _relative_name(root: pathlib.Path, annotation: pathlib.Path) -> str:
    """Returns the path of an annotation below Annotations/, because subfolders may repeat file names; elsewhere, its file name."""
    annotations = root / "Annotations"
    return str(annotation.relative_to(annotations)) if annotation.is_relative_to(annotations) else annotation.name


def _places(root: pathlib.Path, annotation: pathlib.Path) -> list[pathlib.Path]:
    inside = pathlib.Path(_relative_name(root, annotation)).parent
    return [root / "JPEGImages" / inside, annotation.parent, annotation.parent / "images", root / "images" / inside, root]


def _image(root: pathlib.Path, annotation: pathlib.Path, file_name: str, folders: dict) -> pathlib.Path | None:
    """Returns the picture of an annotation; None if it is missing.

    The picture has the name of the annotation file or the `filename` in it, in any case, with the suffix of any image format.
    """
    said = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    names = [said.lower(), *(f"{stem}{suffix}".lower() for stem in (annotation.stem, pathlib.Path(said).stem) for suffix in IMAGE_SUFFIXES)]
    for place in _places(root, annotation):
        if place not in folders:
            folders[place] = {path.name.lower(): path for path in sorted(place.iterdir())} if place.is_dir() else {}
        image = next((folders[place][name] for name in names if name in folders[place] and name.endswith(IMAGE_SUFFIXES)), None)
        if image:
            return image
    return None


def _read(root: pathlib.Path, annotation: pathlib.Path, folders: Mapping, notes: Notes):
    """Returns (image file, rows with class names, size) of a picture; None if the picture or its annotation is missing."""
    if not annotation.is_file():
        notes.add("missing pictures: left out", shown(annotation.name))
        return None
    try:
        tree = xml.etree.ElementTree.parse(annotation).getroot()
        image = _image(root, annotation, tree.findtext("filename") or "", folders)
        if image is None:
            notes.add("missing pictures: left out", f"of {shown(annotation.name)}")
            return None
        rows = []
        for item in tree.iter("object"):
            bounds, called = item.find("bndbox"), item.findtext("name")
            texts = [] if bounds is None else [bounds.findtext(side) for side in _SIDES]
            if None in texts or not texts or not called:
                notes.add("objects without a box or a name: left out", shown(annotation.name))
                continue
            left, top, right, bottom = map(float, texts)
            box = (top - 1, left - 1, bottom, right)
            rows.append((box, called.strip(), item.findtext("difficult") == "1", (box[2] - box[0]) * (box[3] - box[1])))
        sides = [float(tree.findtext(f"size/{side}") or 0) for side in ("height", "width")]
    except (xml.etree.ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{shown(annotation)}: cannot be read as a Pascal VOC annotation ({error})") from error
    return image, rows, tuple(map(int, sides)) if min(sides) > 0 else None  # tools that do not know the size write 0


def _pictures(found: Sequence[tuple], names: list[str], notes: Notes) -> list[Picture]:
    pictures = (
        make_picture(image, number, [(row[0], names.index(row[1]), *row[2:]) for row in rows], size, notes)
        for number, (image, rows, size) in enumerate(found, start=1)
    )
    return [as_displayed(picture, notes) for picture in pictures]
