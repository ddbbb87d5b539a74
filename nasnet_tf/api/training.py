"""`nasnet_tf.train`: the training of the command `nasnet train`, as a function."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from nasnet_tf.api.data import check_bindings, check_data, data_bindings
from nasnet_tf.api.networks import network_bindings
from nasnet_tf.api.running import ANY_DATA, configured, worded_for_python
from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path
from nasnet_tf.base.identity import bindings as read_configuration
from nasnet_tf.base.values import expect
from nasnet_tf.data import ImageData
from nasnet_tf.data.given import of_arrays
from nasnet_tf.recipes import folders, table
from nasnet_tf.recipes.training import TrainConfig
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.training import checkpoints


class Trained(NamedTuple):
    """The result of a training.

    Attributes:
      model: network from images to logits, with the best weights, averaged if the training kept averages, as from load_nasnet(workdir).
      evaluation: evaluation of these weights on the validation split; None if the recipe evaluates nothing.
    """

    model: keras.Model
    evaluation: Any


def train(
    data: Any,
    network: Any = None,
    recipe: str | os.PathLike = "finetune.gin",
    *,
    workdir: str | os.PathLike,
    weights: str | os.PathLike | None = "trained",
    validation: Any = None,
    epochs: float | None = None,
    bindings: Mapping[str, Any] | None = None,
) -> Trained:
    """Trains a network on your images, as `nasnet train` does, in the same kind of work folder.

    Repeat the call to resume an interrupted training. For a finished training, it returns the result at once.

    Args:
      data: training data; see nasnet_tf.search.
      network: network to train: "mobile" or another name or size as for load_nasnet; a work folder, an export or a .keras file; a weights
        file of a named network; or a genotype: a message, the name of a published one, or the path of a textproto. None for the recipe's.
        Images are prepared as the network takes them, unless `data` or `bindings` specify it. A genotype gets the size that the recipe
        binds, or "4 @ 1056".
      recipe: name of a shipped recipe or path of a gin file.
      workdir: work folder, which keeps the training.
      weights: weights from which a name or size starts. "trained": the public weights, or fresh ones if there are none; "none" or None:
        fresh weights; or a weights file. Fresh weights are never frozen, even if the recipe freezes some.
      validation: data to choose the best checkpoint by, or a fraction of `data` to hold out; see nasnet_tf.search.
      epochs: number of epochs; None for the recipe's.
      bindings: {"name.parameter": value} for anything else that a recipe can bind; a text that begins with "@" is a gin reference.

    Returns:
      (model, evaluation).

    Raises:
      InputError: an argument is wrong, or the work folder belongs to other work.
      TrainingDiverged: the loss became infinite or NaN.
      KeyboardInterrupt: the call was interrupted and has saved its state; repeat it to resume. SIGTERM raises TrainingInterrupted.
    """
    folder = user_path(workdir)
    said = ({} if epochs is None else {"TrainingConfig.epochs": epochs}) | dict(bindings or {})
    with worded_for_python():
        check_bindings(said)
        folders.check_workdir(folder, "workdir")
        work_folders.check_kind(folder, "training")
        check_data(data, "data")
        if isinstance(data, (tuple, list)):
            of_arrays("data", *data)  # raises now for wrong arrays, before the genotype is written
        values = _network(recipe, network, weights, data, said, folder) | data_bindings(data, validation, folder, "training")
        with configured(recipe, {**values, **said}, folder) as text:
            job = table.bound("train")()
            if not isinstance(job.data, ImageData):
                raise InputError(f"recipe: expected one that trains on @ImageData(), got {recipe} with @{type(job.data).__name__}()")
            return _run(job, text, folder)


def _network(recipe: Any, network: Any, weights: Any, data: Any, said: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """Returns the bindings of the network. It also finds mistakes in the recipe before any data are read."""
    with configured(recipe, {**ANY_DATA, **said}, folder) as text:
        if network is None:
            expect(weights == "trained", "weights", "'trained', because no network is given", weights)
            return {}
        preprocessing = data.preprocessing if isinstance(data, ImageData) else None
        return network_bindings(network, weights, preprocessing, said, read_configuration(text), folder)


def _run(job: TrainConfig, config_text: str, folder: pathlib.Path) -> Trained:
    """Trains as configured and returns the result with the best weights."""
    evaluation = folders.train_in(folder, config_text, job)
    model = resolve(folder).model("trained")
    if evaluation is not None and not checkpoints.is_best_last(folder):
        evaluation = job.measure(model)
    return Trained(model, evaluation)
