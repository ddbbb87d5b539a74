"""Base class of layers that consist of other layers."""

from collections.abc import Iterator, Sequence

import keras


class Composite(keras.layers.Layer):
    """A layer that applies its `trainable` flag to all of its sublayers, including those that `build` creates.

    Keras sets the flag only on sublayers that exist at that time, and a layer that is restored from its configuration has none yet. The
    configuration also lists the sublayers that were frozen individually. A subclass must end its `build` with
    `super().build(input_shape)`.

    Args:
      frozen_parts: paths of sublayers that are not trainable, such as "block_0_left/bn_1".
    """

    def __init__(self, frozen_parts: Sequence[str] = (), **kwargs):
        super().__init__(**kwargs)
        self._frozen_parts = ",".join(frozen_parts)  # a string, because Keras wraps every list that is assigned to a layer

    def build(self, input_shape):
        self.built = True
        frozen = self._frozen_parts.split(",")
        for path, part in _parts(self):
            if not self.trainable or path in frozen:
                part.trainable = False

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "trainable":  # TensorFlow ignores a repeated assignment of the same value, and Keras then skips the sublayers
            for part in self._flatten_layers(include_self=False, recursive=False):
                part.trainable = value

    def get_config(self):
        frozen = [path for path, part in _parts(self) if not part.trainable] if self.trainable else []
        return {**super().get_config(), **({"frozen_parts": frozen} if frozen else {})}


def _parts(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields (path, layer) for all layers inside a layer, at any depth."""
    for part in layer._flatten_layers(include_self=False, recursive=False):
        yield part.name, part
        for path, inner in _parts(part):
            yield f"{part.name}/{path}", inner
