"""Pascal VOC's folders: Annotations/*.xml, ImageSets/Main/<split>.txt, JPEGImages/."""

import pathlib
import xml.etree.ElementTree

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.objects import Notes, Picture, Pictures, check_pictures, make_picture


def open_voc(name: str, root: pathlib.Path) -> Pictures:
    """Opens a folder such as VOCdevkit/VOC2007. Objects marked as difficult are treated as crowds: ignored, as VOC's own metric does.

    Coordinates count from 1 and include the last pixel: (xmin - 1, ymin - 1, xmax, ymax) are the edges.

    Raises:
      InputError: no such folders, no picture there, an annotation that cannot be read.
    """
    lists = sorted((root / "ImageSets" / "Main").glob("*.txt"))
    lists = [path for path in lists if "_" not in path.stem]  # the others are of single classes
    if not lists or not (root / "Annotations").is_dir():
        raise InputError(f"data set {name!r}: expected {root}/Annotations/*.xml, ImageSets/Main/<split>.txt and JPEGImages/")
    found, notes, class_names = {}, {}, set()
    for path in lists:
        notes[path.stem] = Notes()
        found[path.stem] = [_read(root, line.split()[0], notes[path.stem]) for line in path.read_text().splitlines() if line.strip()]
        class_names |= {row[1] for _, rows, _ in filter(None, found[path.stem]) for row in rows}
    names = sorted(class_names)
    splits = {split: _pictures([row for row in rows if row], names, notes[split]) for split, rows in found.items()}
    check_pictures(name, splits, names)
    return Pictures(name, tuple(names), tuple(range(1, len(names) + 1)), splits, notes)


def _read(root: pathlib.Path, stem: str, notes: Notes):
    """(image file, rows with class names, size) of one picture; None where it is not there."""
    annotation, image = root / "Annotations" / f"{stem}.xml", root / "JPEGImages" / f"{stem}.jpg"
    for path in (annotation, image):
        if not path.is_file():
            notes.add("pictures that are not there: left out", path.name)
            return None
    try:
        tree = xml.etree.ElementTree.parse(annotation).getroot()
        rows = []
        for item in tree.iter("object"):
            left, top, right, bottom = (float(item.find("bndbox").findtext(tag)) for tag in ("xmin", "ymin", "xmax", "ymax"))
            box = (top - 1, left - 1, bottom, right)
            rows.append((box, item.findtext("name"), item.findtext("difficult") == "1", (box[2] - box[0]) * (box[3] - box[1])))
        size = tree.find("size")
        size = None if size is None else (int(size.findtext("height")), int(size.findtext("width")))
    except (xml.etree.ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{annotation}: cannot be read as an annotation of Pascal VOC ({error})") from error
    return image, rows, size


def _pictures(found: list, names: list[str], notes: Notes) -> list[Picture]:
    return [
        make_picture(image, number, [(row[0], names.index(row[1]), *row[2:]) for row in rows], size, notes)
        for number, (image, rows, size) in enumerate(found, start=1)
    ]
