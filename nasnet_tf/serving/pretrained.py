"""The public ImageNet weights: the files of keras.applications, downloaded once into Keras' own cache and checked."""

import hashlib
import os
import pathlib

import keras

from nasnet_tf.errors import InputError
from nasnet_tf.serving.keras_files import PUBLIC_KERAS_FILES

BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet"
NETWORKS = tuple(dict.fromkeys(name for name, _ in PUBLIC_KERAS_FILES.values()))


def public_weights(network: str, include_top: bool) -> pathlib.Path:
    """The file of a network's ImageNet weights, downloaded if it is not in the cache (`~/.keras/models`, or below `$KERAS_HOME`).

    Args:
      network: one of NETWORKS.
      include_top: with the classifier of 1000 classes.

    Raises:
      InputError: no network to download it by, or a file with other contents; the message says which file belongs where.
    """
    md5 = next(md5 for md5, file in PUBLIC_KERAS_FILES.items() if file == (network, include_top))
    suffix = "" if include_top else "-no-top"
    url = f"{BASE_URL}/NASNet-{network}{suffix}.h5"
    folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    path = folder / f"nasnet_{network}{suffix.replace('-', '_')}.h5"  # as keras.applications names it
    remedy = f"put the file of {url} (md5 {md5}) at {path}, or give weights='/path/to/a/file', or weights=None for fresh weights"
    if not path.is_file():
        temporary = path.with_name(f"{path.name}.part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            keras.utils.get_file(temporary.name, url, cache_dir=str(folder), cache_subdir=".", force_download=True)
        except Exception as error:  # get_file turns all trouble with the network into bare Exceptions
            raise InputError(f"cannot download the ImageNet weights of {network!r} ({error}); {remedy}") from error
        _check(temporary, md5, remedy)
        temporary.replace(path)
    _check(path, md5, remedy)
    return path


def _check(path: pathlib.Path, md5: str, remedy: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        raise InputError(f"{path}: has md5 {found}, expected {md5}: incomplete, or another file; {remedy}")
