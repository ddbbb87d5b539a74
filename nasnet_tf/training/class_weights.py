"""Class weights in the loss, for data in which some classes are rare."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nasnet_tf.base.errors import InputError, did_you_mean
from nasnet_tf.training.config import BALANCED, TrainingConfig


class Counted(Protocol):
    """Data that knows how many labels each class has."""

    class_names: Sequence[str]

    @property
    def label_counts(self) -> np.ndarray:
        """Number of training examples of each class, int64 [num_classes]."""


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """Returns the weight n / (classes * n_c) of each class c, float64 [classes]. The mean weight over all labels is 1.

    Args:
      counts: number of labels of each class, n_c, positive; n is their sum.
    """
    return counts.sum() / (len(counts) * counts)


def resolved(config: TrainingConfig, data: Counted) -> TrainingConfig:
    """Returns the configuration with "balanced" or a partial table replaced by a table of weights for all classes.

    Raises:
      InputError: the table names an unknown class, or it is "balanced" and a class has no training examples.
    """
    setting = config.class_weights
    if setting is None:
        return config
    names = list(data.class_names)
    if setting == BALANCED:
        counts = data.label_counts
        if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
            raise InputError(
                f"TrainingConfig.class_weights: 'balanced' needs training examples of every class, got none of {', '.join(missing[:5])}; "
                "add some, or bind a table of weights"
            )
        setting = dict(zip(names, balanced_weights(counts).tolist(), strict=True))
    if unknown := [name for name in setting if name not in names]:
        near = did_you_mean(unknown[0], names) or f"; the classes are {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        raise InputError(f"TrainingConfig.class_weights: expected names of classes, got {unknown[0]!r}{near}")
    return dataclasses.replace(config, class_weights={name: float(setting.get(name, 1.0)) for name in names})


def by_label(config: TrainingConfig, data: Counted) -> list[float] | None:
    """Returns the weight of each label, in label order; None if the configuration sets no class weights."""
    weights = resolved(config, data).class_weights
    return None if weights is None else list(weights.values())
