"""Evaluates a trained network on a whole split: python -m nasnet_tf.evaluate --workdir=runs/cifar --split=test."""

import dataclasses
import json
import pathlib

from absl import flags

from nasnet_tf import cli

_MOST_CLASSES_DRAWN = 50


def main(arguments: list[str]) -> None:
    """Evaluates the best or the last weights of a training, with the data it was trained with."""
    cli.import_tensorflow()
    from nasnet_tf.data import ImageData
    from nasnet_tf.training import checkpoints
    from nasnet_tf.training.evaluate import Evaluator
    from nasnet_tf.viz.diagram import save_figure
    from nasnet_tf.viz.plots import plot_confusion

    workdir, split = pathlib.Path(cli.FLAGS.workdir), cli.FLAGS.split
    model, data_description = checkpoints.read_description(workdir)
    data = ImageData.from_description(data_description)
    if cli.FLAGS.data_dir:
        data = dataclasses.replace(data, data_dir=cli.FLAGS.data_dir)
    step = checkpoints.load_trained(workdir, model, cli.FLAGS.checkpoint, cli.FLAGS.ema)
    evaluator = Evaluator(model)
    result = evaluator.on_split(data, split, cli.FLAGS.batch_size)
    row = {"split": split, **dataclasses.asdict(result), "step": step, "checkpoint": cli.FLAGS.checkpoint, "ema": cli.FLAGS.ema}
    path = workdir / f"evaluation-{split}.json"
    path.write_text(json.dumps(row, indent=1))
    if data.num_classes <= _MOST_CLASSES_DRAWN:
        picture = workdir / f"confusion-{split}.svg"
        save_figure(plot_confusion(evaluator.confusion, data.class_names), picture)
        print(f"confusion matrix: {picture}")
    print(
        f"{split}: accuracy {result.accuracy:.4f}, top-5 {result.top_5_accuracy:.4f}, loss {result.loss:.4f} "
        f"on {result.examples} examples, {cli.FLAGS.checkpoint} checkpoint of step {step}; {path}"
    )


if __name__ == "__main__":
    cli.define_workdir_flag("Of a training.")
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to evaluate on.")
    flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which weights.")
    flags.DEFINE_bool("ema", True, "Moving averages of the weights, where the training kept them.")
    flags.DEFINE_integer("batch_size", 100, "Examples at a time; does not change the result.", lower_bound=1)
    flags.DEFINE_string("data_dir", None, "Where TFDS finds the data set, if not where the training did.")
    cli.run(main)
