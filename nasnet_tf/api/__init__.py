"""Functions that do what the commands do, for Python programs and notebooks, with the same recipes and work folders."""

from nasnet_tf.base.terminal import import_tensorflow

import_tensorflow()  # without its log messages
