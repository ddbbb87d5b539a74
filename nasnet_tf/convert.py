"""Converts a weights file.

  # Converts a checkpoint of TF-slim to weights for keras.applications.
  nasnet convert nasnet-a_mobile_04_10_2017.tar.gz --model=mobile \\
    --output=mobile.weights.h5
  # Converts weights of keras.applications to safetensors.
  nasnet convert mobile.weights.h5 --model=mobile --output=mobile.safetensors

Guide: docs/use.md
"""

from nasnet_tf.base import terminal
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.cli import command, flags


def main(arguments: list[str]) -> None:
    """Reads a weights file of any format that `load_nasnet` knows, and writes the format that the name of the output selects."""
    if len(arguments) != 1:
        raise InputError(f"convert: expected one weights file, got {len(arguments)}")
    output = flags.new_output()
    terminal.import_tensorflow()
    from nasnet_tf.serving.hub.load import load_nasnet
    from nasnet_tf.serving.weights.convert import load_weights, save_weights
    from nasnet_tf.serving.weights.files import find_weights

    find_weights(user_path(arguments[0]))  # reports a missing file before the network is built
    options = {"num_classes": flags.FLAGS.num_classes, "include_top": flags.FLAGS.include_top}
    model = load_nasnet(flags.FLAGS.model, weights=None, pooling=None if flags.FLAGS.include_top else "avg", **options)
    load_weights(model, arguments[0], use_ema=flags.FLAGS.ema)
    save_weights(model, output)
    print(f"{len(model.weights)} tensors: {output}")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_required("model", "The network of the weights, such as mobile.")
    flags.define_required(
        "output",
        "The file to write; its name selects the format. x.weights.h5 is for weights for keras.applications, x.h5 or x.keras for a whole "
        "model of keras.applications, x.safetensors for safetensors. Any other name is the prefix of a TF-slim checkpoint. A network that "
        "keras.applications does not have is written as a Keras file of this package.",
    )
    text = "The number of classes, if not the network's usual one. 1001 keeps slim's background class."
    flags.DEFINE_integer("num_classes", None, text, lower_bound=1)
    flags.DEFINE_bool("include_top", True, "Include the classifier.")
    flags.DEFINE_bool("ema", True, "Use the moving averages of the weights, if a TF-slim checkpoint has them.")


if __name__ == "__main__":
    command.run(
        main,
        define_flags,
        "A weights file of TF-slim, keras.applications or safetensors. TF-slim's is a .tar.gz file, a folder or the prefix of a "
        "checkpoint. That of keras.applications is a .h5 or .keras file.",
    )
