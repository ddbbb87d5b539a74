"""Classifies image files: python -m nasnet_tf.predict photo.jpg other.png --model=exports/cifar."""

import base64
import json
import mimetypes
import pathlib

from absl import flags

from nasnet_tf import cli
from nasnet_tf.errors import InputError


def main(arguments: list[str]) -> None:
    """Prints the most probable classes of each file."""
    if not arguments:
        raise InputError("predict: expected image files, e.g. python -m nasnet_tf.predict photo.jpg --model=exports/cifar; got none")
    files = [pathlib.Path(argument) for argument in arguments]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    cli.import_tensorflow()
    from nasnet_tf.serving import saved_model

    folder = pathlib.Path(cli.FLAGS.model)
    class_names = saved_model.read_data_description(folder)["class_names"]
    rows = []
    encoded = [path.read_bytes() for path in files]
    probabilities = saved_model.load_classifier(folder)(encoded, [str(path) for path in files])
    for path, content, row in zip(files, encoded, probabilities, strict=True):
        best = row.argsort()[::-1][: cli.FLAGS.top]
        top = [{"class": class_names[index], "probability": round(float(row[index]), 6)} for index in best]
        print(f"{path}: " + ", ".join(f"{item['class']} {item['probability']:.1%}" for item in top))
        kind = mimetypes.guess_type(path.name)[0] or "image/jpeg"
        rows.append({"file": str(path), "top": top, "image": f"data:{kind};base64,{base64.b64encode(content).decode()}"})
    if cli.FLAGS.output:
        pathlib.Path(cli.FLAGS.output).write_text(json.dumps(rows))


if __name__ == "__main__":
    flags.DEFINE_string("model", None, "The folder of an export.", required=True)
    flags.DEFINE_integer("top", 5, "How many classes to print.", lower_bound=1)
    flags.DEFINE_string("output", None, "A JSON file for the results, with the images inside: predictions.json of a report.")
    cli.run(main)
