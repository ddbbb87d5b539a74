"""Evaluates a network on a whole split.

  # Tests a training on the data that it was trained with.
  nasnet evaluate --workdir=runs/digits --split=test
  # Measures the public weights on ImageNet, prepared by TensorFlow Datasets.
  nasnet evaluate --model=mobile --data=imagenet2012 --split=validation

Guides: docs/train.md, docs/export_and_serve.md
"""

import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from nasnet_tf.base import extras, terminal
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.cli import command, flags


def main(arguments: list[str]) -> None:
    """Evaluates a training on its own data, or any network that load_nasnet knows on any data."""
    if flags.named_model() is not None:
        return _evaluate_named()
    if flags.FLAGS.data:
        raise InputError("--data: can only be used with --model; a --workdir is evaluated on the data it was trained with")
    if flags.FLAGS.output:
        raise InputError("--output: can only be used with --model; the results for a --workdir are written into it")
    return _evaluate_workdir()


def _evaluate_named() -> None:
    """Evaluates --model on --data."""
    if not flags.FLAGS.data:
        raise InputError("--model: expected --data too, the data to evaluate on: folder:PATH, or a data set such as imagenet2012")
    output = flags.new_output()
    terminal.import_tensorflow()
    from nasnet_tf.recipes.tasks import task_of
    from nasnet_tf.serving.exports import evaluations
    from nasnet_tf.serving.hub.load import load_named
    from nasnet_tf.serving.hub.relabelling import RelabelledData

    model, description = load_named(flags.FLAGS.model, flags.FLAGS.weights, flags.FLAGS.resize)
    task = task_of(description, flags.FLAGS.model)
    choice = {
        "source": flags.FLAGS.data,
        "data_dir": flags.FLAGS.data_dir,
        "train_split": flags.FLAGS.split,
        "test_split": flags.FLAGS.split,
    }
    data = task.data.from_description({**description, **choice, "validation_split": None, "validation_examples": 0})
    relabelled = RelabelledData(data, description["class_names"])
    evaluator = task.evaluator_class(model)
    result = _checked(evaluator.on_split(relabelled, "test", _batch_size(data, "test")), flags.FLAGS.model)
    fresh = ", with fresh, untrained weights" if flags.FLAGS.weights == "none" else ""
    if output is not None:
        said = {"model": flags.FLAGS.model, "weights": flags.FLAGS.weights, "data": flags.FLAGS.data, "split": flags.FLAGS.split}
        evaluations.write(output, model, {**said, **dataclasses.asdict(result)})
        _write_rest(task, evaluator, relabelled, lambda name, suffix: output.with_name(f"{output.stem}-{name}{suffix}"))
        print(f"written: {output}")
    if table := task.table(evaluator):
        print(table)
    print(f"{flags.FLAGS.model}{fresh} on {flags.FLAGS.data}, {flags.FLAGS.split}: {result}")


def _checked(result: Any, network: str) -> Any:
    """Returns the result; raises InputError if a number in it is NaN or infinite, which JSON cannot express."""
    for name, value in dataclasses.asdict(result).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{network}: expected finite answers of the network, got a {name.replace('_', ' ')} of {value}")
    return result


def _write_rest(task: Any, evaluator: Any, data: Any, path_of: Callable[[str, str], pathlib.Path]) -> None:
    """Writes the details of an evaluation: JSON files, and pictures if matplotlib is installed.

    Args:
      task: class of the task.
      evaluator: evaluator after the evaluation.
      data: data of the evaluation.
      path_of: function (name, suffix) -> path of a file.
    """
    for name, content in task.results(evaluator).items():
        path = path_of(name, ".json")
        replace_file(path, json.dumps(content))
        print(f"{name}: {path}")
    if not extras.is_installed("matplotlib"):
        print("no pictures were drawn: matplotlib is not installed; it comes with: pip install 'nasnet_tf[pictures]'")
        return
    from nasnet_tf.viz.diagram import save_figure

    for name, figure in task.figures(evaluator, data).items():
        path = path_of(name.replace(" ", "-"), ".svg")
        save_figure(figure, path)
        print(f"{name}: {path}")


def _batch_size(data, split: str) -> int:
    """Returns --batch_size, or the number of examples if that is smaller: a larger batch would waste memory on padding."""
    return min(flags.FLAGS.batch_size, data.num_examples(split))


def _evaluate_workdir() -> None:
    """Evaluates the best or the last weights of --workdir on the data it was trained with."""
    workdir, split = flags.trained_workdir(), flags.FLAGS.split
    terminal.import_tensorflow()
    from nasnet_tf.recipes.tasks import task_of
    from nasnet_tf.training import checkpoints, work_folder

    model, description = work_folder.read_description(workdir, flags.FLAGS.dtype_policy)
    task = task_of(description, workdir / "data.json")
    data = task.data.from_description(description)
    if flags.FLAGS.data_dir and hasattr(data, "data_dir"):
        data = dataclasses.replace(data, data_dir=flags.FLAGS.data_dir)
    step = checkpoints.load_trained(workdir, model, flags.FLAGS.checkpoint, flags.FLAGS.ema)
    evaluator = task.evaluator_class(model)
    for note in task.notes(data, split):
        print(f"data: {note}", file=sys.stderr, flush=True)
    result = _checked(evaluator.on_split(data, split, _batch_size(data, split)), str(workdir))
    # Each choice of weights has its own file name, so that no result overwrites another.
    choice = f"{split}{'' if flags.FLAGS.checkpoint == 'best' else '-last'}{'' if flags.FLAGS.ema else '-raw'}"
    row = {"split": split, **dataclasses.asdict(result), "step": step, "checkpoint": flags.FLAGS.checkpoint, "ema": flags.FLAGS.ema}
    path = workdir / f"evaluation-{choice}.json"
    replace_file(path, json.dumps(row, indent=1))
    _write_rest(task, evaluator, data, lambda name, suffix: workdir / f"{name}-{choice}{suffix}")
    if table := task.table(evaluator):
        print(table)
    print(f"{split}: {result}, {flags.FLAGS.checkpoint} checkpoint of step {step}; {path}")
    if split == "test" and any(data.share_examples("test", other) for other in ("train", "validation")):
        print("note: examples of this test split were also used for training or validation, so the result is not for unseen images")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_network_flags()
    text = "With --model: the data set, such as folder:PATH. It can also be a name of TensorFlow Datasets, such as imagenet2012."
    flags.DEFINE_string("data", None, text)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "The split to evaluate.")
    text = "With --model: a JSON file for the result. Pictures are written beside it. export --evaluation=FILE puts it into its manifest."
    flags.DEFINE_string("output", None, text)
    flags.DEFINE_integer("batch_size", 100, "The examples per batch. Their number does not change the result.", lower_bound=1)
    text = "The folder of TensorFlow Datasets. With --workdir, the default is the folder that the training used."
    flags.DEFINE_string("data_dir", None, text)
    text = "With --workdir: a policy such as mixed_bfloat16. It can also be float32 or mixed_float16; the default is that of the training."
    flags.DEFINE_string("dtype_policy", None, text)


if __name__ == "__main__":
    command.run(main, define_flags)
