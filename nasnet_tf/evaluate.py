"""Evaluates a trained network on a whole split: python -m nasnet_tf.evaluate --workdir=runs/cifar --split=test."""

import dataclasses
import json

from absl import flags

from nasnet_tf import cli


def main(arguments: list[str]) -> None:
    """Evaluates the best or the last weights of a training, with the data it was trained with."""
    workdir, split = cli.trained_workdir(), cli.FLAGS.split
    cli.import_tensorflow()
    from nasnet_tf import kinds
    from nasnet_tf.data import ImageData
    from nasnet_tf.training import checkpoints
    from nasnet_tf.viz.diagram import save_figure

    kind = kinds.kind_of(workdir)
    model, data_description = checkpoints.read_description(workdir)
    data = kind.data(data_description)
    if cli.FLAGS.data_dir:
        data = dataclasses.replace(data, data_dir=cli.FLAGS.data_dir)
    step = checkpoints.load_trained(workdir, model, cli.FLAGS.checkpoint, cli.FLAGS.ema)
    evaluator = kind.evaluator(model)
    result = evaluator.on_split(data, split, cli.FLAGS.batch_size)
    # Another choice than the usual has another name, for none to take another's place.
    choice = f"{split}{'' if cli.FLAGS.checkpoint == 'best' else '-last'}{'' if cli.FLAGS.ema else '-raw'}"
    row = {"split": split, **dataclasses.asdict(result), "step": step, "checkpoint": cli.FLAGS.checkpoint, "ema": cli.FLAGS.ema}
    path = workdir / f"evaluation-{choice}.json"
    path.write_text(json.dumps(row, indent=1))
    for name, figure in kind.figures(evaluator, data).items():
        picture = workdir / f"{name.replace(' ', '-')}-{choice}.svg"
        save_figure(figure, picture)
        print(f"{name}: {picture}")
    print(f"{split}: {result}, {cli.FLAGS.checkpoint} checkpoint of step {step}; {path}")
    if split == "test" and isinstance(data, ImageData) and any(data.share_examples("test", other) for other in ("train", "validation")):
        print("note: examples of this test also trained the network or chose its best checkpoint; it is none of images never seen")


def define_flags() -> None:
    """The flags of this door."""
    cli.define_workdir_flag("Of a training.")
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to evaluate on.")
    flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which weights; best is last where training evaluated nothing.")
    flags.DEFINE_bool("ema", True, "Moving averages of the weights, where the training kept them.")
    flags.DEFINE_integer("batch_size", 100, "Examples at a time; does not change the result.", lower_bound=1)
    flags.DEFINE_string("data_dir", None, "Where TFDS finds the data set, if not where the training did.")


if __name__ == "__main__":
    cli.run(main, define_flags)
