"""To be imported, for its effect alone, before anything else by a process that others are forked from: TensorFlow, loaded without remarks.

It must not be used there: its threads, and what it knows of GPUs, do not survive a fork.
"""

from nasnet_tf.base.terminal import quiet

with quiet():
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
