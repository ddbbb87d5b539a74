"""Training the heads alone for a while, for fine-tuning."""

import keras


class Freezing:
    """Inside the `with`, the first steps leave alone all layers but those that give the outputs; afterwards all are trainable again."""

    def __init__(self, model: keras.Model, steps: int):
        self._steps = steps
        self._hidden = [layer for layer in _hidden_layers(model) if layer.trainable] if steps else []

    def __enter__(self) -> "Freezing":
        return self

    def __exit__(self, *_) -> None:
        self.set(self._steps)

    def set(self, step: int) -> None:
        """Makes trainable what is to be trained in this step."""
        for layer in self._hidden:
            layer.trainable = step >= self._steps


def _hidden_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers but those that give the model's outputs."""
    outputs = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    return [layer for layer in model.layers if outputs.isdisjoint(id(tensor) for tensor in keras.tree.flatten(layer.output))]
