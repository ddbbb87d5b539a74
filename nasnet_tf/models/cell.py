"""The interpreter of cells: computes the output states of a Cell message (paper section 3, appendix A.4; TF-slim's NasNetABaseCell)."""

import keras
import tensorflow as tf
from google.protobuf import text_format

from nasnet_tf import genotype as genotypes
from nasnet_tf.genotype import Operation
from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.layers.composite import Composite
from nasnet_tf.layers.normalization import LayerStyle, StyledLayer
from nasnet_tf.layers.stochastic import DropPath
from nasnet_tf.models.cell_layers import Site, cell_layout, make_layer


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Cell(StyledLayer, Composite):
    """A cell as one Keras layer.

    Call it with a list of 1 to num_input_states input states, newest first, float [batch, height, width, channels] each. The first cells of
    a network have fewer states; the newest one, unchanged, stands in for those that are missing. Returns a tensor if the cell has one
    output, else a list of tensors. A reduction cell halves height and width, rounding up.

    Inputs are first brought to the size and the filters of this cell. The outputs of the previous cell always go through ReLU, 1x1
    convolution and batch normalization. An older state is converted only if its size or its number of channels differs, and a state that
    nothing reads is not converted. These choices depend on `reductions` and on channels, never on height and width, so that a network works
    for every image size.

    Deviation: TF-slim has this rule for cells with one output. We apply it to each of the four outputs of NASNet-B's cells: parameters and
    mult-adds of 4 @ 1536 are then within 10% of the published ones, and within 22% if only state 0 is projected.

    Args:
      cell: the message to interpret.
      num_input_states: number of input states of the genotype's cells.
      filters: channels of each operation's result.
      is_reduction: True if operations on input states have stride 2.
      reductions: for each given input state, how many times it must be halved to get the size of state 0.
      style: settings shared by all layers.
      drop_path_rate: probability of dropping an operation's result at the end of training. Identities are never dropped, as in slim.
      drop_path_seed: seed of drop path; None to draw one from Python's random numbers.
    """

    def __init__(
        self,
        cell: genotypes.Cell,
        num_input_states: int,
        filters: int,
        is_reduction: bool,
        reductions: list[int],
        style: LayerStyle,
        drop_path_rate: float = 0.0,
        drop_path_seed: int | None = None,
        **kwargs,
    ):
        super().__init__(style, **kwargs)
        self.cell, self.num_input_states, self.filters, self.is_reduction = cell, num_input_states, filters, is_reduction
        self.reductions, self.drop_path_rate = list(reductions), drop_path_rate
        self.num_paths = sum(side.operation != Operation.IDENTITY for block in cell.blocks for side in (block.left, block.right))
        self.drop_path = None
        if drop_path_rate > 0 and self.num_paths:
            self.drop_path = DropPath(drop_path_rate, self.num_paths, drop_path_seed, name=f"{self.name}_drop_path")

    def build(self, input_shapes):
        channels = [shape[-1] for shape in _as_list_of_shapes(input_shapes)]
        layout = cell_layout(self.cell, self.num_input_states, self.filters, self.is_reduction, self.reductions, channels)
        self.fits = [[self._built(site) for site in sites] for sites in layout.fits]
        self.branches, self.norms = [], []
        for pair, norm in zip(layout.branches, layout.norms, strict=True):
            self.branches.append([self._built(site) for site in pair])
            self.norms.append(self._built(norm) if norm else None)
        self.output_fits = {str(state): [self._built(site) for site in sites] for state, sites in layout.output_fits.items()}
        self.output_channels = layout.output_channels
        super().build(input_shapes)

    def _built(self, site: Site) -> keras.layers.Layer:
        layer = make_layer(site.kind, self.filters, self.style, site.name)
        layer.build((None, None, None, site.channels))
        return layer

    def call(self, inputs, training=None):
        inputs = [inputs] if tf.is_tensor(inputs) else list(inputs)
        states = [_chain(layers, state) for layers, state in zip(self.fits, inputs, strict=True)]
        states += [inputs[0]] * (self.num_input_states - len(inputs))
        scales = None
        if training and self.drop_path is not None:
            scales = iter(tf.unstack(tf.cast(self.drop_path.sample(tf.shape(inputs[0])[0]), inputs[0].dtype), num=self.num_paths))
        for block, (left_layer, right_layer), norm in zip(self.cell.blocks, self.branches, self.norms, strict=True):
            left = self._operate(left_layer, block.left, states, scales)
            right = self._operate(right_layer, block.right, states, scales)
            if COMBINES[block.combine].width == 2:
                states.append(tf.concat([left, right], axis=-1))
                continue
            total = left + right if norm is None else norm(left + right)
            states.append(tf.nn.relu6(total) if self.style.bounded_activation else total)
        for state, layers in self.output_fits.items():
            states[int(state)] = _chain(layers, states[int(state)])
        outputs = [tf.concat([states[state] for state in output.states], axis=-1) for output in self.cell.outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    def _operate(self, layer, branch, states, scales):
        result = layer(states[branch.input])
        if self.style.bounded_activation:
            result = tf.clip_by_value(result, -6.0, 6.0)
        return result if scales is None or branch.operation == Operation.IDENTITY else result * next(scales)

    def compute_output_shape(self, input_shapes):
        batch, height, width, _ = _as_list_of_shapes(input_shapes)[0]
        if self.is_reduction:
            height, width = (None if size is None else -(-size // 2) for size in (height, width))
        shapes = [(batch, height, width, channels) for channels in self.output_channels]
        return shapes[0] if len(shapes) == 1 else shapes

    def get_config(self):
        return {
            **super().get_config(),
            "cell": text_format.MessageToString(self.cell, as_one_line=True),
            "num_input_states": self.num_input_states,
            "filters": self.filters,
            "is_reduction": self.is_reduction,
            "reductions": list(self.reductions),  # a plain list, because Keras wraps the attribute
            "drop_path_rate": self.drop_path_rate,
            "drop_path_seed": self.drop_path.seed if self.drop_path else None,
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config({**config, "cell": text_format.Parse(config["cell"], genotypes.Cell())})


def _chain(layers, tensor):
    for layer in layers:
        tensor = layer(tensor)
    return tensor


def _as_list_of_shapes(shapes) -> list[tuple]:
    return [shapes] if not isinstance(shapes[0], (tuple, list)) else list(shapes)
