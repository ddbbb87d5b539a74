"""Flags that several commands share, and checks of the paths that they name."""

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

REQUIRED: set[str] = set()  # names of the flags that a command cannot do without


def define_required(name: str, text: str) -> None:
    """Defines a flag that must be given."""
    DEFINE_string(name, None, text)
    REQUIRED.add(name)


def define_gin_flags() -> None:
    """--gin_file and --gin_param."""
    DEFINE_multi_string(
        "gin_file", [], "A recipe: the path of a gin file, or the bare name of one that ships with the package; may be repeated."
    )
    DEFINE_multi_string("gin_param", [], "A binding that overrides the recipe's, as name.parameter=value; may be repeated.")


def define_workdir_flag(text: str) -> None:
    """--workdir, required."""
    define_required("workdir", text)


def define_network_flags() -> None:
    """--workdir with its --checkpoint and --ema, or --model with its --weights and --resize; one of the two is given."""
    DEFINE_string("workdir", None, "Of a training.")
    DEFINE_enum("checkpoint", "best", ["best", "last"], "Of a training: which weights; best is last where it evaluated nothing.")
    DEFINE_bool("ema", True, "Of a training: moving averages of the weights, where it kept them.")
    DEFINE_string("model", None, "Instead: a name such as mobile, a size such as '6 @ 768', an export, a .keras file.")
    DEFINE_string("weights", "trained", "For a name or size: a weights file instead of the public ones; none for fresh ones.")
    DEFINE_enum("resize", None, ["tf2", "tf1"], "For an ImageNet name: how; tf1 is as its public weights were measured.")


def named_model() -> str | None:
    """--model, None where --workdir is given instead; InputError for both or neither, or for what goes with the other one."""
    if (FLAGS.workdir is None) == (FLAGS.model is None):
        raise InputError("expected --workdir, of a training, or --model, one of the two")
    missing, without_it = ("model", ("weights", "resize")) if FLAGS.model is None else ("workdir", ("checkpoint", "ema"))
    for name in without_it:
        if FLAGS[name].present:
            raise InputError(f"--{name}: goes with --{missing}, which is not given")
    return FLAGS.model


def trained_workdir() -> pathlib.Path:
    """--workdir, of a training; InputError where it is none, before TensorFlow is loaded."""
    workdir = pathlib.Path(FLAGS.workdir)
    if not workdir.is_dir():
        raise InputError(f"--workdir: no such folder: {workdir}")
    if not any(workdir.glob("checkpoints/*.index")):
        raise InputError(f"{workdir}: holds no trained network; expected checkpoints there, as train writes them")
    return workdir


def new_output(name: str = "output", suffixes: tuple[str, ...] = ()) -> pathlib.Path | None:
    """The file that a flag names, None where it is not given; InputError, before any work, if it cannot be written there."""
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
    """The folder that a flag names, None where it is not given; InputError, before any work, if it is a file or cannot be made."""
    if FLAGS[name].value is None:
        return None
    path = pathlib.Path(FLAGS[name].value)
    if path.exists() and not path.is_dir():
        raise InputError(f"--{name}: expected a folder, but {path} is a file")
    check_place(path, f"--{name}")
    return path


def pictures_in(folder: pathlib.Path, files: Sequence[pathlib.Path], name: str) -> dict[pathlib.Path, pathlib.Path]:
    """Returns where in a folder the picture about each image file is written; makes nothing.

    It has the file's name as a PNG, with a number where another one has that name already.

    Raises:
      InputError: one of them would take the place of one of the images; named by `name`, the flag of the folder.
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
            raise InputError(f"--{name}: expected another folder than that of the images, but {places[file]} is one of them")
    return places


def check_writable(path: pathlib.Path, name: str) -> None:
    """Makes the folders above a path, and raises InputError where nothing can be written in them."""
    check_place(path, f"--{name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--{name}: {path} cannot be written: {error.filename}: {error.strerror}") from error


_DETECTION = ("coco:", "voc:", "tfds:")  # sources of DetectionData; all others are of ImageData


def define_flags() -> None:
    """--data, --epochs and --batch_size."""
    DEFINE_string(
        "data",
        None,
        "In place of the recipe's: folder:PATH, digits or a name of TensorFlow Datasets, of which all of `train` is taken, 10% of it to "
        "validate where a folder has no split `validation`; for a detector coco:FOLDER, voc:FOLDER or tfds:NAME.",
    )
    DEFINE_float("epochs", None, "In place of the recipe's.", lower_bound=0.0)
    DEFINE_integer("batch_size", None, "In place of the recipe's; on all replicas together.", lower_bound=1)


def params() -> list[str]:
    """The bindings that the flags given stand for; none where the door has no such flags."""
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
