"""Finds data sets, prepares their images and makes batches, as tf.data pipelines. This package does not depend on models.

Importing this package does not import TensorFlow: the names in __init__.pyi load on first use, and the modules numpy_*.py do not need it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
