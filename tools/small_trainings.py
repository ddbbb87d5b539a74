"""Small trainings of many architectures on one traced network, with measured processor time."""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request

SIZE_FORMAT = "EPOCHSxPIXELSxFILTERS[xRATE]"


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a training.

    Attributes:
      epochs: passes over the examples.
      image_size: side of the images in pixels.
      filters: filters of the first cells.
      rate: initial learning rate; None for the command's --initial_rate.
    """

    epochs: float
    image_size: int
    filters: int
    rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Reads a size in SIZE_FORMAT. Any other text raises a ValueError, which argparse reports."""
        epochs, image_size, filters, *rate = text.split("x")
        return cls(float(epochs), int(image_size), int(filters), *map(float, rate))

    def __str__(self) -> str:
        rate = "" if self.rate is None else f"x{self.rate:g}"
        return f"{self.epochs:g}x{self.image_size}x{self.filters}{rate}"


def small_training(args: argparse.Namespace, size: Size, examples: int, is_tested: bool = False, batch_size: int | None = None):
    """Returns (network, data, training, learning_rate) of a training that is evaluated once, at its end.

    Args:
      args: source, data_dir, validation_examples, batch_size and initial_rate of the command.
      size: size of the training.
      examples: number of training images.
      is_tested: True evaluates on the test split, False on held-out images.
      batch_size: None for the command's.
    """
    from nasnet_tf.data import CifarPreprocessing, ImageData
    from nasnet_tf.models.network import NetworkConfig
    from nasnet_tf.training.config import TrainingConfig
    from nasnet_tf.training.schedules import cosine_decay

    network = NetworkConfig(1, "cifar", 3.0, filters=size.filters, batch_norm_momentum=0.9, batch_norm_epsilon=1e-5)
    preprocessing = CifarPreprocessing(size.image_size, upsample=1.0, flip=args.source != "digits")
    held_out = 0 if is_tested else args.validation_examples
    split = {"validation_split": "test"} if is_tested else {"validation_examples": held_out}
    data = ImageData(args.source, preprocessing, args.data_dir, f"train[:{examples + held_out}]", **split)
    every = {"evaluate_every_epochs": size.epochs, "weight_decay": 5e-4, "gradient_clip_norm": 5.0}
    rate = args.initial_rate if size.rate is None else size.rate
    return network, data, TrainingConfig(size.epochs, batch_size or args.batch_size, **every), cosine_decay(rate)


class Trainings:
    """Trainings of one size, with any seed, on one traced network.

    Args:
      space: search space of the architectures.
      *settings: network, data, training and learning rate, as `small_training` returns them.
    """

    def __init__(self, space: SearchSpace, *settings):
        self._space, self._settings = space, settings

    @functools.cached_property
    def _traced(self):
        from nasnet_tf.nas.children.space_training import SpaceChildren

        children = SpaceChildren(self._space, *self._settings)
        children.trace()
        return children

    def with_seed(self, seed: int) -> Callable[..., dict]:
        """Returns the function (textproto, request) -> outcome with the metric "cpu_seconds", the processor time. Its first call traces."""
        children = functools.cache(lambda: self._traced.with_seed(seed))
        return lambda text, request=TO_THE_END: counted(children(), text, request)


def counted(evaluate: Callable[..., dict], text: str, request: Request) -> dict:
    """Returns the outcome of a training, with its processor time as the metric "cpu_seconds"."""
    started = time.process_time()
    outcome = evaluate(text, request)
    return {**outcome, "metrics": {**outcome.get("metrics", {}), "cpu_seconds": round(time.process_time() - started, 3)}}
