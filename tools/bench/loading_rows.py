"""load_nasnet with a weights file, compared with keras.applications with the same file."""

from collections.abc import Iterator

import keras

from nasnet_tf import load_nasnet
from tools.bench.timing import Options, Row, alone, alone_in_turns, timed

_THEIRS = {"mobile": "NASNetMobile", "large": "NASNetLarge"}


def measure(options: Options) -> Iterator[Row]:
    """Yields the rows, measured in alternating processes. Imports do not count."""
    for name in ("mobile",) if options.quick else _THEIRS:
        path = f"{options.workdir}/{name}.weights.h5"
        alone(write, name, path)
        samples = alone_in_turns({"ours": ours, "keras.applications": theirs}, options.rounds, name, path)
        yield Row(f'load_nasnet("{name}", file)', "s", samples, "1")


def write(name: str, path: str):
    """Writes fresh weights of a network of keras.applications."""
    getattr(keras.applications, _THEIRS[name])(weights=None).save_weights(path)


def ours(name: str, path: str):
    """Returns the sample of load_nasnet with the weights file."""
    return timed(lambda: load_nasnet(name, path))


def theirs(name: str, path: str):
    """Returns the sample of keras.applications with the weights file."""
    return timed(lambda: getattr(keras.applications, _THEIRS[name])(weights=path))
