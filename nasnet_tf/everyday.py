"""Flags for what people change most, which stand for bindings of the recipe; --gin_param says the same, and counts before them."""

from absl import flags

FLAGS = flags.FLAGS
_DETECTION = ("coco:", "voc:", "tfds:")  # sources of DetectionData; all others are of ImageData


def define_flags() -> None:
    """--data, --epochs and --batch_size."""
    flags.DEFINE_string(
        "data",
        None,
        "In place of the recipe's: folder:PATH, digits or a name of TensorFlow Datasets, of which all of `train` is taken, 10% of it to "
        "validate where a folder has no split `validation`; for a detector coco:FOLDER, voc:FOLDER or tfds:NAME.",
    )
    flags.DEFINE_float("epochs", None, "In place of the recipe's.", lower_bound=0.0)
    flags.DEFINE_integer("batch_size", None, "In place of the recipe's; on all replicas together.", lower_bound=1)


def params() -> list[str]:
    """The bindings that the flags given stand for; none where the door has no such flags."""
    found = []
    if (data := _value("data")) is not None:
        owner = "DetectionData" if data.startswith(_DETECTION) else "ImageData"
        found.append(f"{owner}.source = {data!r}")
        if owner == "ImageData":  # a recipe's splits are of its own data set
            splits = {"train_split": "train", "validation_split": None, "validation_examples": "10%", "test_split": "test"}
            scopes = ("", "retrain/") if "retrain_top" in FLAGS else ("",)
            found += [f"{scope}ImageData.{name} = {value!r}" for scope in scopes for name, value in splits.items()]
    if (epochs := _value("epochs")) is not None:
        found.append(f"TrainingConfig.epochs = {int(epochs) if epochs.is_integer() else epochs}")
    if (batch_size := _value("batch_size")) is not None:
        found.append(f"TrainingConfig.batch_size = {batch_size}")
    return found


def _value(name: str):
    return FLAGS[name].value if name in FLAGS else None
