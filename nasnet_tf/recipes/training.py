"""`train`: the training that a recipe binds."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import gin
import keras
import tensorflow as tf

from nasnet_tf import data
from nasnet_tf.base.errors import InputError
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.detection.task import Detection, DetectionLosses
from nasnet_tf.genotype import Genotype, genotype_hash, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.recipes.jobs import TrainingJob
from nasnet_tf.serving.hub.load import check_features, load_features
from nasnet_tf.serving.hub.naming import architecture_of
from nasnet_tf.training import loop, numerics, profiling, schedules
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.timetable import Timetable

Optimizer = Callable[[], keras.optimizers.Optimizer]


def train(
    data: data.ImageData | DetectionData,
    optimizer: Optimizer,
    learning_rate: schedules.Schedule,
    training: loop.TrainingConfig,
    genotype: str | None = None,
    network: NetworkConfig | None = None,
    strategy: tf.distribute.Strategy | None = None,
    initial_weights: str | None = None,
    dtype_policy: str = "float32",
    detector: DetectorConfig | None = None,
    detection_losses: DetectionLosses | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> TrainingJob:
    """The training of a genotype's network, to be called with its work folder; arguments as in nasnet_tf.training.loop.train_and_evaluate.

    genotype: the name of a published one, or the path of a textproto; None for that of initial_weights.
    network: None for that of initial_weights, a name, an export or a work folder, with the bindings of NetworkConfig that there are in the
      place of its own.
    data: what to train on.
    learning_rate: a schedule, such as @cosine_decay().
    training: how.
    initial_weights: to fine-tune, whose features to start from, as
      nasnet_tf.serving.hub.load.load_features takes them; None for fresh weights.
    dtype_policy: in which numbers the network computes, one of nasnet_tf.training.numerics.POLICIES; its weights are float32 in all.
    detector: to train a detector on the network, with `data` a DetectionData; None for a classifier.
    detection_losses: of a detector.
    """
    if detector is not None and initial_weights is None:
        print("the detector's network starts from fresh weights, as train.initial_weights is not bound", file=sys.stderr, flush=True)

    if profile_steps is not None:  # before the folder is taken
        profiling.check(profile_steps, Timetable(training, data.num_train_examples).total)
    # A mistake in them comes up now, not once the folder is taken.
    if initial_weights is not None:
        check_features(initial_weights)
    cells, network = _architecture(genotype, network, initial_weights)

    def build(num_classes: int, image_size: int) -> keras.Model:
        if detector is not None:
            model = build_network(cells, network, None, (None, None))
        else:
            model = build_network(cells, network, num_classes, image_size)
        if initial_weights is not None:
            load_features(model, initial_weights)
        return model if detector is None else build_detector(model, detector, num_classes)

    task = Classification if detector is None else functools.partial(Detection, settings=detection_losses)

    @numerics.dtype_policy(dtype_policy)
    def run(workdir: pathlib.Path) -> tuple[keras.Model, Any]:
        return loop.train_and_evaluate(
            build, data, optimizer, learning_rate, training, workdir, strategy, task=task, profile_steps=profile_steps
        )

    return TrainingJob(build, data, training, run)


def _architecture(genotype: str | None, network: NetworkConfig | None, source: str | None) -> tuple[Genotype, NetworkConfig]:
    """What is bound, and what is not of what the training starts from."""
    if genotype is not None and network is not None:
        return load_genotype(genotype), network
    if source is None:
        what = "genotype" if genotype is None else "network"
        raise InputError(f"train.{what}: expected a binding, or train.initial_weights to take it from")
    cells, own = architecture_of(source)
    if genotype is not None and genotype_hash(load_genotype(genotype)) != genotype_hash(cells):
        raise InputError(f"train.genotype: {genotype} has other cells than {source}, whose weights are to be taken; leave it out")
    if network is None:
        said = set(gin.get_bindings(NetworkConfig))
        said |= {"filters", "penultimate_filters"} if said & {"filters", "penultimate_filters"} else set()  # one of the two
        rest = {field.name: getattr(own, field.name) for field in dataclasses.fields(own) if field.name not in said}
        network = gin.get_configurable(NetworkConfig)(**rest)
    return cells, network
