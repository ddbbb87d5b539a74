"""What Python programs and notebooks call in the place of commands, with the same recipes and work folders."""

from nasnet_tf.base.terminal import import_tensorflow

import_tensorflow()  # without its remarks
