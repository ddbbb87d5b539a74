"""genotype -> reward, by training a small child network (paper section 3.1)."""

import dataclasses

import keras

from nasnet_tf.data import ImageData
from nasnet_tf.genotype import Genotype
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.training.loop import TrainingConfig, TrainingDiverged, train_and_evaluate


def evaluate_genotype(
    genotype: Genotype, network: NetworkConfig, data: ImageData, optimizer, learning_rate, training: TrainingConfig
) -> dict:
    """Trains a child from scratch and measures it on the held-out validation examples.

    Returns:
      {"reward": validation accuracy in [0, 1], "metrics": {...}}, or {"infeasible": reason} where the loss did not stay finite.
    """

    def build(num_classes: int, image_size: int) -> keras.Model:
        return build_network(genotype, network, num_classes, image_size)

    try:
        model, evaluation = train_and_evaluate(build, data, optimizer, learning_rate, training, show_progress=False)
    except TrainingDiverged as error:
        return {"infeasible": str(error)}
    costs = count_costs(model)
    return {
        "reward": evaluation.accuracy,
        "metrics": {
            "loss": evaluation.loss,
            "epochs": training.epochs,
            "parameters": costs.trainable_parameters,
            "mult_adds": costs.mult_adds,
        }
        | {f"network_{key}": value for key, value in dataclasses.asdict(network).items() if key in ("cells_per_stack", "filters")},
    }
