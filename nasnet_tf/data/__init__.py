"""Images and labels as tf.data: where they come from, how they are prepared, how they are batched. Knows nothing of models.

Importing this room does not import TensorFlow: the names of __init__.pyi are loaded when first used, and the modules numpy_*.py need none.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
