"""Evaluates a network on a whole split: python -m nasnet_tf.evaluate --workdir=runs/cifar --split=test, or
--model=mobile --data=imagenet2012 --split=validation.
"""

import dataclasses
import json
import sys

from absl import flags

from nasnet_tf import cli, extras
from nasnet_tf.errors import InputError


def main(arguments: list[str]) -> None:
    """Evaluates a training with its data, or any network that load_nasnet knows on any data."""
    if cli.named_model() is not None:
        return _evaluate_named()
    if cli.FLAGS.data:
        raise InputError("--data: goes with --model; --workdir is evaluated with the data that it was trained with")
    if cli.FLAGS.output:
        raise InputError("--output: goes with --model; what --workdir gets is written into it")
    return _evaluate_workdir()


def _evaluate_named() -> None:
    """--model on --data."""
    if not cli.FLAGS.data:
        raise InputError("--model: expected --data besides, what to evaluate on: folder:PATH, or a data set such as imagenet2012")
    output = cli.new_output()
    cli.import_tensorflow()
    from nasnet_tf import kinds
    from nasnet_tf.data import ImageData, preprocessing_from_config
    from nasnet_tf.serving import evaluations
    from nasnet_tf.serving.relabelling import RelabelledData
    from nasnet_tf.serving.sources import load_named

    model, description = load_named(cli.FLAGS.model, cli.FLAGS.weights, cli.FLAGS.resize)
    preprocessing = preprocessing_from_config(description["preprocessing"])
    data = ImageData(cli.FLAGS.data, preprocessing, data_dir=cli.FLAGS.data_dir, train_split=cli.FLAGS.split, test_split=cli.FLAGS.split)
    relabelled = RelabelledData(data, description["class_names"])
    result = kinds.kind_of(cli.FLAGS.model).evaluator(model).on_split(relabelled, "test", _batch_size(data, "test"))
    fresh = ", with fresh, untrained weights" if cli.FLAGS.weights == "none" else ""
    print(f"{cli.FLAGS.model}{fresh} on {cli.FLAGS.data}, {cli.FLAGS.split}: {result}")
    if output is not None:
        said = {"model": cli.FLAGS.model, "weights": cli.FLAGS.weights, "data": cli.FLAGS.data, "split": cli.FLAGS.split}
        evaluations.write(output, model, {**said, **dataclasses.asdict(result)})
        print(f"written: {output}")


def _batch_size(data, split: str) -> int:
    """Not more than there are examples: the rest would be padding, which takes memory too."""
    return min(cli.FLAGS.batch_size, data.num_examples(split))


def _evaluate_workdir() -> None:
    """The best or the last weights of a training, with the data it was trained with."""
    workdir, split = cli.trained_workdir(), cli.FLAGS.split
    cli.import_tensorflow()
    from nasnet_tf import kinds
    from nasnet_tf.data import ImageData
    from nasnet_tf.training import checkpoints

    kind = kinds.kind_of(workdir)
    model, data_description = checkpoints.read_description(workdir, cli.FLAGS.dtype_policy)
    data = kind.data(data_description)
    if cli.FLAGS.data_dir and hasattr(data, "data_dir"):
        data = dataclasses.replace(data, data_dir=cli.FLAGS.data_dir)
    step = checkpoints.load_trained(workdir, model, cli.FLAGS.checkpoint, cli.FLAGS.ema)
    evaluator = kind.evaluator(model)
    for note in kind.notes(data, split):
        print(f"data: {note}", file=sys.stderr, flush=True)
    result = evaluator.on_split(data, split, _batch_size(data, split))
    # Another choice than the usual has another name, for none to take another's place.
    choice = f"{split}{'' if cli.FLAGS.checkpoint == 'best' else '-last'}{'' if cli.FLAGS.ema else '-raw'}"
    row = {"split": split, **dataclasses.asdict(result), "step": step, "checkpoint": cli.FLAGS.checkpoint, "ema": cli.FLAGS.ema}
    path = workdir / f"evaluation-{choice}.json"
    path.write_text(json.dumps(row, indent=1))
    for name, content in kind.results(evaluator).items():
        file = workdir / f"{name}-{choice}.json"
        file.write_text(json.dumps(content))
        print(f"{name}: {file}")
    if extras.is_installed("matplotlib"):
        from nasnet_tf.viz.diagram import save_figure

        for name, figure in kind.figures(evaluator, data).items():
            picture = workdir / f"{name.replace(' ', '-')}-{choice}.svg"
            save_figure(figure, picture)
            print(f"{name}: {picture}")
    else:
        print("no pictures were drawn: matplotlib is not installed; it comes with: pip install 'nasnet_tf[pictures]'")
    if kind.table(result):
        print(kind.table(result))
    print(f"{split}: {result}, {cli.FLAGS.checkpoint} checkpoint of step {step}; {path}")
    if split == "test" and isinstance(data, ImageData) and any(data.share_examples("test", other) for other in ("train", "validation")):
        print("note: examples of this test also trained the network or chose its best checkpoint; it is none of images never seen")


def define_flags() -> None:
    """The flags of this door."""
    cli.define_network_flags()
    flags.DEFINE_string("data", None, "With --model: folder:PATH, or a data set such as imagenet2012, whose split --split is then.")
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to evaluate on.")
    flags.DEFINE_string("output", None, "With --model: a JSON file for the result; export --evaluation=FILE puts it into its manifest.")
    flags.DEFINE_integer("batch_size", 100, "Examples at a time; does not change the result.", lower_bound=1)
    flags.DEFINE_string("data_dir", None, "Where TFDS finds the data set, if not where the training did.")
    flags.DEFINE_string("dtype_policy", None, "float32, mixed_bfloat16 or mixed_float16; without it, as in training.")


if __name__ == "__main__":
    cli.run(main, define_flags)
