"""What replicas keep for themselves between two checkpoints, brought together: the moving statistics of batch normalization.

An update of theirs is linear, so that their mean after many steps without a word to each other is what it would be if they had been
averaged after each of them.
"""

from collections.abc import Callable, Iterable

import tensorflow as tf


def make_synchronize(variables: Iterable[tf.Variable], strategy: tf.distribute.Strategy) -> Callable[[], None]:
    """Returns a function that gives all replicas the mean of variables that each has for itself; all workers must call it.

    They travel as one tensor.
    """
    local = list(variables)
    if strategy.num_replicas_in_sync == 1 or not local:
        return lambda: None

    def replica_mean():
        flat = tf.concat([tf.reshape(variable, [-1]) for variable in local], 0)
        mean = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, flat)
        for variable, value in zip(local, tf.split(mean, [variable.shape.num_elements() for variable in local]), strict=True):
            variable.assign(tf.reshape(value, variable.shape))

    @tf.function(autograph=False)
    def synchronize():
        strategy.run(replica_mean)

    return synchronize
