"""Flags that several commands share, and checks of the paths in these flags."""

import itertools
import pathlib
from collections.abc import Sequence

from absl.flags import (  # noqa: F401  the commands define theirs with these
    FLAGS,
    DEFINE_bool,
    DEFINE_boolean,
    DEFINE_enum,
    DEFINE_float,
    DEFINE_integer,
    DEFINE_multi_enum,
    DEFINE_multi_string,
    DEFINE_string,
)

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import check_local, check_place, shown
from nasnet_tf.recipes import shorthand

REQUIRED: set[str] = set()  # names of the flags that must be given


def define_required(name: str, text: str) -> None:
    """Defines a flag that must be given."""
    DEFINE_string(name, None, text)
    REQUIRED.add(name)


def define_gin_flags() -> None:
    """Defines --gin_file and --gin_param."""
    DEFINE_multi_string("gin_file", [], "A recipe: a gin file or the name of a shipped recipe. Can be repeated.")
    DEFINE_multi_string("gin_param", [], "Overrides a binding of the recipe: name.parameter=value. Can be repeated.")


def define_workdir_flag(text: str) -> None:
    """Defines --workdir, which is required.

    Args:
      text: its help text.
    """
    define_required("workdir", text)


def define_network_flags() -> None:
    """Defines the flags that name a network: --workdir with --checkpoint and --ema, or --model with --weights and --resize."""
    DEFINE_string("workdir", None, "The work folder of a training. Give either --workdir or --model.")
    text = "With --workdir: the checkpoint to use. If the training was never evaluated, best means last."
    DEFINE_enum("checkpoint", "best", ["best", "last"], text)
    text = "With --workdir: use averaged weights. They are the moving averages of the weights, if the training kept them."
    DEFINE_bool("ema", True, text)
    DEFINE_string("model", None, "A network such as mobile, an export or a .keras file. It can also be a size, such as '6 @ 768'.")
    text = "With --model: a weights file or none. Only for a name or a size; trained means the public weights, none random weights."
    DEFINE_string("weights", "trained", text)
    text = "With --model: how to resize images. Only for the name of an ImageNet network: its public weights were measured with tf1."
    DEFINE_enum("resize", None, ["tf2", "tf1"], text)


def named_model() -> str | None:
    """Returns the value of --model; None if --workdir is given instead.

    Raises:
      InputError: both or neither of the two are given, or a flag that belongs to the one that is not given.
    """
    if (FLAGS.workdir is None) == (FLAGS.model is None):
        raise InputError("expected either --workdir, the work folder of a training, or --model")
    missing, without_it = ("model", ("weights", "resize")) if FLAGS.model is None else ("workdir", ("checkpoint", "ema"))
    for name in without_it:
        if FLAGS[name].present:
            raise InputError(f"--{name}: can only be used with --{missing}, which is not given")
    return FLAGS.model


def trained_workdir() -> pathlib.Path:
    """Returns --workdir; raises InputError if it is not the work folder of a training. Does not load TensorFlow."""
    workdir = pathlib.Path(FLAGS.workdir)
    if not workdir.is_dir():
        raise InputError(f"--workdir: no such folder: {workdir}")
    if not any(workdir.glob("checkpoints/*.index")):
        raise InputError(f"{workdir}: holds no trained network; expected a folder with checkpoints that the command train has written")
    return workdir


def new_output(name: str = "output", suffixes: tuple[str, ...] = ()) -> pathlib.Path | None:
    """Returns the path of an output file, and creates the folders above it.

    Args:
      name: name of the flag that has the path.
      suffixes: allowed suffixes; any if empty.

    Returns:
      The path; None if the flag is not given.

    Raises:
      InputError: the path is a folder, has another suffix, or cannot be written.
    """
    if FLAGS[name].value is None:
        return None
    check_local(FLAGS[name].value, f"--{name}")
    path = pathlib.Path(FLAGS[name].value)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"--{name}: expected a name that ends in {' or '.join(suffixes)}, got {path}")
    if path.is_dir() or FLAGS[name].value.endswith("/"):
        raise InputError(f"--{name}: expected a file, but {path} is a folder")
    check_writable(path, name)
    return path


def new_folder(name: str = "output") -> pathlib.Path | None:
    """Returns the path of an output folder, without creating it.

    Args:
      name: name of the flag that has the path.

    Returns:
      The path; None if the flag is not given.

    Raises:
      InputError: the path is a file, or the folder cannot be created.
    """
    if FLAGS[name].value is None:
        return None
    path = pathlib.Path(FLAGS[name].value)
    if path.exists() and not path.is_dir():
        raise InputError(f"--{name}: expected a folder, but {path} is a file")
    check_place(path, f"--{name}")
    return path


def pictures_in(folder: pathlib.Path, files: Sequence[pathlib.Path], name: str) -> dict[pathlib.Path, pathlib.Path]:
    """Returns the output path of the picture for each image file, without creating it.

    A picture has the name of the image with the suffix .png, and a number if another picture has that name already.

    Args:
      folder: folder for the pictures.
      files: the image files.
      name: name of the flag that has the folder, for the message.

    Raises:
      InputError: a picture would overwrite one of the images.
    """
    places: dict[pathlib.Path, pathlib.Path] = {}
    taken = set()
    images = {file.resolve() for file in files}
    for file in dict.fromkeys(files):
        stem = shown(file.stem)
        free = next(called for number in itertools.count(1) if (called := f"{stem}{f'-{number}' if number > 1 else ''}.png") not in taken)
        taken.add(free)
        places[file] = folder / free
        if places[file].resolve() in images:
            raise InputError(f"--{name}: expected a folder other than that of the images, but {places[file]} is one of the images")
    return places


def check_writable(path: pathlib.Path, name: str) -> None:
    """Creates the folders above a path; raises InputError if they cannot be written.

    Args:
      path: path of a file or folder.
      name: name of the flag that has the path, for the message.
    """
    check_place(path, f"--{name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--{name}: {path} cannot be written: {error.filename}: {error.strerror}") from error


_DETECTION = ("coco:", "voc:", "tfds:")  # prefixes of sources for DetectionData; all other sources are for ImageData


def define_flags() -> None:
    """Defines --data, --epochs and --batch_size."""
    DEFINE_string(
        "data",
        None,
        "Another data set than the recipe's, such as folder:PATH. It can also be digits or a name of TensorFlow Datasets; for a detector "
        "coco:FOLDER, voc:FOLDER or tfds:NAME. The whole split `train` is used. 10% of it is held out for validation, unless a folder has "
        "a split `validation`.",
    )
    DEFINE_float("epochs", None, "The number of epochs, instead of the recipe's.", lower_bound=0.0)
    DEFINE_integer("batch_size", None, "The batch size of all replicas, instead of the recipe's.", lower_bound=1)


def params() -> list[str]:
    """Returns the bindings for --data, --epochs and --batch_size; none for a command without these flags."""
    found = []
    if (data := _value("data")) is not None:
        if data.startswith(_DETECTION):
            found.append(f"DetectionData.source = {data!r}")
        else:
            found += shorthand.lines(shorthand.data_bindings(data, ("", shorthand.RETRAIN) if "retrain_top" in FLAGS else ("",)))
    if (epochs := _value("epochs")) is not None:
        found.append(f"TrainingConfig.epochs = {int(epochs) if epochs.is_integer() else epochs}")
    if (batch_size := _value("batch_size")) is not None:
        found.append(f"TrainingConfig.batch_size = {batch_size}")
    return found


def _value(name: str):
    return FLAGS[name].value if name in FLAGS else None
