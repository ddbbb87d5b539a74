"""A layer that is made of other layers."""

from collections.abc import Iterator, Sequence

import keras


class Composite(keras.layers.Layer):
    """A layer whose parts are as trainable as it is, also the parts that `build` makes.

    Keras passes `trainable` on to the parts that exist when it is set. A layer made from a saved configuration gets it before it has any.
    A subclass ends its `build` with `super().build(input_shape)`. The configuration names the parts that were frozen one by one.

    Args:
      frozen_parts: paths of parts that are not trainable, such as "block_0_left/bn_1".
    """

    def __init__(self, frozen_parts: Sequence[str] = (), **kwargs):
        super().__init__(**kwargs)
        self._frozen_parts = ",".join(frozen_parts)  # a text, for Keras wraps every list that is assigned to a layer

    def build(self, input_shape):
        self.built = True
        frozen = self._frozen_parts.split(",")
        for path, part in _parts(self):
            if not self.trainable or path in frozen:
                part.trainable = False

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "trainable":  # TensorFlow skips a value that is assigned a second time, and Keras then passes nothing on
            for part in self._flatten_layers(include_self=False, recursive=False):
                part.trainable = value

    def get_config(self):
        frozen = [path for path, part in _parts(self) if not part.trainable] if self.trainable else []
        return {**super().get_config(), **({"frozen_parts": frozen} if frozen else {})}


def _parts(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Returns all layers inside a layer with their paths."""
    for part in layer._flatten_layers(include_self=False, recursive=False):
        yield part.name, part
        for path, inner in _parts(part):
            yield f"{part.name}/{path}", inner
