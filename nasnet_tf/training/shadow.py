"""A copy of everything that a checkpoint holds, to be written while training goes on."""

import keras
import tensorflow as tf


class Shadow:
    """The variables of a tf.train.Checkpoint, once more, in the host's memory and under the same names.

    TensorFlow's own asynchronous checkpoints cannot copy Keras' variables a second time.

    Attributes:
      checkpoint: what is to be written in the place of the original.
    """

    def __init__(self, original: tf.train.Checkpoint):
        # Training waits while thousands are copied, and bare ops cost a third of the methods; those know what the value of replicas is.
        self._handles: list[tuple[tf.Tensor, tf.DType, tf.Tensor]] = []
        self._distributed: list[tuple[tf.Variable, tf.Variable]] = []
        self._copies: dict[int, tf.Variable] = {}
        with tf.device("CPU:0"):
            children = {name: self._copy_of(child) for name, child in _children_of(original).items() if name != "save_counter"}
        self.checkpoint = tf.train.Checkpoint(**children)

    def update(self) -> None:
        """Takes the values of now. Buffers are shared until training writes the originals, which TensorFlow then moves elsewhere."""
        with tf.device("CPU:0"):
            for original, dtype, copy in self._handles:
                tf.raw_ops.AssignVariableOp(resource=copy, value=tf.raw_ops.ReadVariableOp(resource=original, dtype=dtype))
            for original, copy in self._distributed:
                copy.assign(original)

    def _copy_of(self, original):
        if id(original) in self._copies:
            return self._copies[id(original)]
        variable = original.value if isinstance(original, keras.Variable) else original
        if isinstance(variable, tf.Variable):
            copy = tf.Variable(tf.convert_to_tensor(variable), trainable=False)
            if isinstance(variable, tf.distribute.DistributedValues):
                self._distributed.append((variable, copy))
            else:
                self._handles.append((variable.handle, variable.dtype, copy.handle))
        else:
            copy = tf.Module()
        self._copies[id(original)] = copy
        if isinstance(copy, tf.Module):
            for name, child in _children_of(original).items():
                setattr(copy, name, self._copy_of(child))
        return copy


_children_of = tf.train.TrackableView.children  # by the names that checkpoints know them by
