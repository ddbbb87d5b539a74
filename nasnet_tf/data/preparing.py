"""Data sets of TensorFlow Datasets (TFDS): found by their names, downloaded and prepared where that is possible."""

import difflib
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request

import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand

tfds = OnDemand("tensorflow_datasets")

FOLDER_PREFIX, TABLE_PREFIX = "folder:", "table:"
_CONNECT_SECONDS = 10


def prepared_folder(data_dir: str | None) -> str | None:
    """The folder that prepared data are in, without ~; InputError if it is not there. None stands for TFDS' own."""
    if data_dir is None:
        return None
    data_dir = os.path.expanduser(data_dir)
    if not tf.io.gfile.isdir(data_dir):
        raise InputError(f"data_dir {data_dir!r}: no such folder; expected the one that TensorFlow Datasets prepares its data in")
    return data_dir


def prepared_builder(name: str, data_dir: str | None) -> "tfds.core.DatasetBuilder":
    """The builder of a name, whose data are prepared; arguments and errors as of `open_source`."""
    try:
        namespace = tfds.core.naming.parse_builder_name_kwargs(name)[0].namespace
        if namespace:  # TFDS would fetch the list of community data sets, and hang for minutes where there is no network
            raise tfds.core.DatasetNotFoundError(name)
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        # Community sets are left out for the same reason.
        known = ["digits", f"{FOLDER_PREFIX}PATH", f"{TABLE_PREFIX}FILE", *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name, known, n=4) or known[:2]
        raise InputError(
            f"unknown data set {name!r}; the nearest known are {', '.join(near)} (any name of TensorFlow Datasets will do)"
        ) from error
    except (ValueError, AssertionError, RuntimeError) as error:  # TFDS' ways to say: no such version, no such config
        raise InputError(f"data set {name!r}: {_one_line(error)}") from error
    if not builder.is_prepared():
        _prepare(name, builder)
    return builder


def _prepare(name: str, builder: "tfds.core.DatasetBuilder") -> None:
    """Downloads and prepares a data set, after checks that spare the user TFDS' minutes of silent retries."""
    where = f"data set {name!r} is not prepared in {builder.data_path}"
    manual = pathlib.Path(builder.data_dir_root) / "downloads" / "manual"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not (manual.is_dir() and any(manual.iterdir())):
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise InputError(f"{where} and has to be downloaded by hand into {manual}: {instructions}")
    hosts = {urllib.parse.urlsplit(url).netloc: url for url in builder.url_infos or () if url.startswith("http")}
    if hosts and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not any(_answers(url) for url in hosts.values()):
        raise InputError(
            f"{where} and cannot be downloaded, {' and '.join(hosts)} cannot be reached: "
            "copy the prepared folder there from a machine with a network, or set data_dir to where it is"
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # each data set's own code runs here and fails in its own way
        raise InputError(f"{where} and TensorFlow Datasets could not prepare it: {_one_line(error)}") from error


def _answers(url: str) -> bool:
    """Whether anything, be it an error, comes back from the server of this address."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_CONNECT_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
