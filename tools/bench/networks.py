"""The networks to measure: ours, and equal ones in Keras' layers, with training steps that compute the same."""

import dataclasses
import itertools
import types
from collections.abc import Callable

import keras
import tensorflow as tf

from nasnet_tf.genotype import Genotype, SearchSpace, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.optimizers import Momentum, RMSProp
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.step import TrainStep
from tools.bench.keras_network import keras_network

RATE = 0.01
MOMENTUM, DECAY, EPSILON = 0.9, 0.9, 1.0  # momentum is for both optimizers, the others for RMSProp
CLIP_NORM = 5.0
WEIGHT_DECAY = 4e-5
AVERAGE = 0.9999
_NOBODY = "itself"  # peer of the tiny networks of --quick, which are the same on both sides

TINY_SPACE = SearchSpace(num_blocks=1, operations=("SEP_CONV_3X3", "AVG_POOL_3X3"))
_TINY = TINY_SPACE.decode((0, 1, 0, 1, 0) * 2)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and how it is trained.

    Attributes:
      genotype, config, image_size, classes: arguments of `build_network`.
      peer: name of the implementation that it is compared with.
      rmsprop: True for RMSProp with averages of the weights, False for plain momentum.
    """

    genotype: Genotype
    config: NetworkConfig
    image_size: int
    classes: int
    peer: str
    rmsprop: bool

    def ours(self) -> keras.Model:
        """Returns our network, which returns logits."""
        if self.peer == _NOBODY:
            return self._tiny()
        return build_network(self.genotype, self.config, self.classes, self.image_size)

    def theirs(self) -> keras.Model:
        """Returns the peer's network, which returns logits like ours."""
        if self.peer == "keras.applications":
            build = keras.applications.NASNetLarge if self.image_size == 331 else keras.applications.NASNetMobile
            return build(weights=None, classifier_activation=None)
        if self.peer == _NOBODY:
            return self._tiny()
        return keras_network(self.genotype, self.config, self.classes, self.image_size)

    def _tiny(self) -> keras.Model:
        """Returns a network that is traced quickly."""
        layers = keras.layers
        images = keras.Input((self.image_size, self.image_size, 3))
        hidden = layers.BatchNormalization()(layers.Conv2D(4, 3)(images))
        return keras.Model(images, layers.Dense(self.classes)(layers.GlobalAveragePooling2D()(hidden)))

    def batch(self, size: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns random images, float32 [size, image_size, image_size, 3] in [-1, 1), and labels, int32 [size]."""
        images = tf.random.stateless_uniform([size, self.image_size, self.image_size, 3], [0, 1], -1.0, 1.0)
        return images, tf.random.stateless_uniform([size], [0, 2], 0, self.classes, tf.int32)

    def our_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> Callable[[], object]:
        """Returns the package's training step for a fresh network on one batch; the first call traces it."""
        average = AVERAGE if self.rmsprop else None
        config = TrainingConfig(1, len(batch[1]), weight_decay=WEIGHT_DECAY, gradient_clip_norm=CLIP_NORM, ema_decay=average)
        optimizer = RMSProp(DECAY, MOMENTUM, EPSILON) if self.rmsprop else Momentum(MOMENTUM)
        state = TrainingState.fresh(self.ours(), optimizer, config.ema_decay)
        task = Classification(types.SimpleNamespace(num_classes=self.classes), config)
        step = TrainStep(state, task, config, tf.distribute.get_strategy())
        batches = itertools.repeat(batch)
        return lambda: step(batches, 0, [RATE], [0.5], 0.0).numpy()

    def their_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> Callable[[], object]:
        """Returns an equal training step with the peer's network and Keras' optimizer; the first call traces it."""
        return keras_step(self.theirs(), self.rmsprop, batch)


def keras_step(model: keras.Model, rmsprop: bool, batch: tuple[tf.Tensor, tf.Tensor]) -> Callable[[], object]:
    """Returns a training step of a Keras model on one batch; the first call traces it."""
    step = keras_function(model, rmsprop)
    return lambda: step(*batch).numpy()


def keras_function(model: keras.Model, rmsprop: bool, jit_compile: bool = False) -> tf.types.experimental.PolymorphicFunction:
    """Returns the training step of a Keras model as a function of (images, labels) that returns the loss."""
    optimizer = (
        keras.optimizers.RMSprop(RATE, DECAY, MOMENTUM, EPSILON, global_clipnorm=CLIP_NORM, use_ema=True, ema_momentum=AVERAGE)
        if rmsprop
        else keras.optimizers.SGD(RATE, MOMENTUM, global_clipnorm=CLIP_NORM)
    )
    variables = model.trainable_variables
    optimizer.build(variables)
    decayed = [variable for variable in variables if len(variable.shape) > 1]

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(images, labels):
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True), from_logits=True)
            loss = tf.reduce_mean(losses) + WEIGHT_DECAY * tf.add_n([tf.nn.l2_loss(variable.value) for variable in decayed])
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def find_case(name: str, quick: bool) -> Case:
    """Returns the case "mobile" or "large" of the paper, or "child" of a search on CIFAR (N = 2, F = 32); a tiny one if `quick`."""
    if quick:
        config = NetworkConfig(1, "cifar", 1.0, filters=4)
        return Case(_TINY, config, 8, 10, _NOBODY, name != "child")
    if name == "mobile":
        config = NetworkConfig(4, "imagenet", 1.0, penultimate_filters=1056)
        return Case(load_genotype("nasnet_a"), config, 224, 1000, "keras.applications", True)
    if name == "large":
        return Case(load_genotype("nasnet_a"), ZOO["large"].config, 331, 1000, "keras.applications", True)
    config = NetworkConfig(2, "cifar", 3.0, filters=32, batch_norm_momentum=0.9, batch_norm_epsilon=1e-5)
    return Case(load_genotype("nasnet_a"), config, 32, 10, "Keras' layers", False)
