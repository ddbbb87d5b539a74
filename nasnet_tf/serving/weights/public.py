"""The public ImageNet weights: the files of keras.applications, downloaded once into Keras' own cache and checked by their MD5."""

import hashlib
import os
import pathlib
import sys
import tempfile
import time
import urllib.request

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.files import user_path
from nasnet_tf.serving.weights.keras_files import PUBLIC_KERAS_FILES

BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet"
NETWORKS = tuple(dict.fromkeys(name for name, _ in PUBLIC_KERAS_FILES.values()))
TIMEOUT_SECONDS = 30.0  # longest wait for the next bytes
_CHUNK = 2**18  # bytes
_REPORT_SECONDS = 2.0


def public_weights(network: str, include_top: bool) -> pathlib.Path:
    """Returns the file of a network's ImageNet weights; downloads it if the cache lacks it (`~/.keras/models`, or below `$KERAS_HOME`).

    Several processes may call this at once: each downloads to a file of its own, and uses the file of another process that finishes first.
    A proxy that the environment names (HTTPS_PROXY) is used.

    Args:
      network: one of NETWORKS.
      include_top: whether to include the classifier of 1000 classes.

    Raises:
      InputError: the download fails, or the file has other contents; the message says which file belongs where.
    """
    md5 = next(md5 for md5, file in PUBLIC_KERAS_FILES.items() if file == (network, include_top))
    suffix = "" if include_top else "-no-top"
    url = f"{BASE_URL}/NASNet-{network}{suffix}.h5"
    folder = user_path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
    path = folder / f"nasnet_{network}{suffix.replace('-', '_')}.h5"  # as keras.applications names it
    remedy = f"put the file from {url} (md5 {md5}) at {path}, give a weights file, or ask for fresh weights (weights=None in Python)"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=folder) as own:
                temporary = pathlib.Path(own) / path.name
                _download(url, temporary)
                if not path.is_file():
                    _check(temporary, md5, remedy)
                    temporary.replace(path)
        except OSError as error:  # covers urllib's errors, timeouts and a full disk
            if not path.is_file():
                raise InputError(f"cannot download the ImageNet weights of {network!r} ({reason(error)}); {remedy}") from error
    _check(path, md5, remedy)
    return path


def _download(url: str, path: pathlib.Path) -> None:
    """Downloads a URL into a file and reports the progress on standard error."""
    opener = urllib.request.build_opener()  # uses the proxies that the environment names now
    with opener.open(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        done, last = 0, time.monotonic()
        print(f"downloading {url}" + (f", {total / 1e6:.1f} MB" if total else ""), file=sys.stderr, flush=True)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if time.monotonic() - last > _REPORT_SECONDS:
                last = time.monotonic()
                print(f"downloaded {done / 1e6:.1f} MB" + (f", {done / total:.0%}" if total else ""), file=sys.stderr, flush=True)
        if done < total:
            raise OSError(f"the connection ended after {done} of {total} bytes")


def _check(path: pathlib.Path, md5: str, remedy: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        raise InputError(f"{path}: has md5 {found}, expected {md5}; the file is incomplete or a different one; {remedy}")
