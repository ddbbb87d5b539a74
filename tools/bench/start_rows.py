"""The time that a command takes to start, and the time that `predict` takes to answer with an export."""

import sys

from nasnet_tf.data import ImageNetPreprocessing
from nasnet_tf.models.network import build_network
from nasnet_tf.serving.exports.engines import FILES
from nasnet_tf.serving.exports.exporting import export as write_export
from tools.bench.networks import find_case
from tools.bench.timing import ROOT, Options, Row, alone, timed_process


def measure(options: Options) -> list[Row]:
    """Returns the rows, measured on whole processes."""
    export = f"{options.workdir}/export"
    alone(write, export, options.quick)
    commands = {
        "python -c 'import nasnet_tf'": (["-c", "import nasnet_tf"], "0.1 s"),
        "python -m nasnet_tf.train --help": (["-m", "nasnet_tf.train", "--help"], "0.25 s"),
    }
    predict = ["-m", "nasnet_tf.predict", _picture(), f"--model={export}"]
    commands["predict with an export of mobile, one picture"] = ([*predict, "--engine=tensorflow"], "8 s")
    for engine in FILES:
        commands[f"predict with an export of mobile, one picture, by {engine}"] = ([*predict, f"--engine={engine}"], "1.5 s")
    samples = {what: [] for what in commands}
    for _ in range(options.rounds):
        for what, (arguments, _) in commands.items():
            samples[what].append(timed_process([sys.executable, *arguments]))
    return [Row(what, "s", {"ours": samples[what]}, goal) for what, (_, goal) in commands.items()]


def _picture() -> str:
    return str(next((ROOT / "testdata" / "digits").glob("*.png")))


def write(folder: str, quick: bool):
    """Writes an export of a network with fresh weights, in all formats that `predict` can run."""
    case = find_case("mobile", quick)
    description = {
        "class_names": [f"class {number}" for number in range(case.classes)],
        "preprocessing": ImageNetPreprocessing(case.image_size).config(),
    }
    write_export(build_network(case.genotype, case.config, case.classes, case.image_size), description, folder, ["saved_model", *FILES])
