"""Finds data sets of TensorFlow Datasets (TFDS) by name, and downloads and prepares them if possible."""

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
    """Returns the folder of prepared data with ~ expanded, or None for TFDS' default; raises InputError if the folder does not exist."""
    if data_dir is None:
        return None
    data_dir = os.path.expanduser(data_dir)
    if not tf.io.gfile.isdir(data_dir):
        raise InputError(f"data_dir {data_dir!r}: no such folder; expected the folder in which TensorFlow Datasets prepares its data")
    return data_dir


def prepared_builder(name: str, data_dir: str | None) -> "tfds.core.DatasetBuilder":
    """Returns the builder of a data set and prepares its data if necessary; arguments and errors as in `open_source`."""
    try:
        namespace = tfds.core.naming.parse_builder_name_kwargs(name)[0].namespace
        if namespace:  # TFDS would fetch the list of community data sets, and hang for minutes without a network
            raise tfds.core.DatasetNotFoundError(name)
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        # Community data sets are left out, because listing them needs the network too.
        known = ["digits", f"{FOLDER_PREFIX}PATH", f"{TABLE_PREFIX}FILE", *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name, known, n=4) or known[:2]
        raise InputError(
            f"unknown data set {name!r}; the nearest known are {', '.join(near)} (all names of TensorFlow Datasets are accepted)"
        ) from error
    except (ValueError, AssertionError, RuntimeError) as error:  # TFDS raises these for an unknown version or config
        raise InputError(f"data set {name!r}: {_one_line(error)}") from error
    if not builder.is_prepared():
        _prepare(name, builder)
    return builder


def _prepare(name: str, builder: "tfds.core.DatasetBuilder") -> None:
    """Downloads and prepares a data set. It first checks that this can succeed, because TFDS would retry silently for minutes."""
    where = f"data set {name!r} is not prepared in {builder.data_path}"
    manual = pathlib.Path(builder.data_dir_root) / "downloads" / "manual"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not (manual.is_dir() and any(manual.iterdir())):
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise InputError(f"{where} and must be downloaded by hand into {manual}: {instructions}")
    hosts = {urllib.parse.urlsplit(url).netloc: url for url in builder.url_infos or () if url.startswith("http")}
    if hosts and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not any(_answers(url) for url in hosts.values()):
        raise InputError(
            f"{where} and cannot be downloaded, because {' and '.join(hosts)} cannot be reached; "
            "copy the prepared folder there from a machine with a network, or set data_dir to the folder that contains it"
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # the data set's own code runs here and can raise anything
        raise InputError(f"{where} and TensorFlow Datasets could not prepare it: {_one_line(error)}") from error


def _answers(url: str) -> bool:
    """Returns whether the server of a URL answers at all, even with an error."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_CONNECT_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
