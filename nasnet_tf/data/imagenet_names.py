"""The names of the 1000 classes of ImageNet."""

import functools
import pathlib


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns (WordNet id, name) of the 1000 classes in the order of their labels. "crane" and "maillot" occur twice; ids are unique."""
    lines = pathlib.Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split(" ", 1)) for line in lines if not line.startswith("#"))
