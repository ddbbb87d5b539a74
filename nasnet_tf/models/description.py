"""Builds a network from its JSON description, and reads the genotype and the configuration from a network.

A description can come from an untrusted source. Keras alone would build any registered class that it names, including Lambda layers with
code, so only the classes that our networks consist of are accepted.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence

import keras

import nasnet_tf.models.network  # noqa: F401  registers the cells with Keras
from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.genotype import Genotype
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.heads import Stem
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.stems import STEMS

_OURS = "nasnet_tf>"  # prefix of our classes' registered names
_OF_KERAS = {
    "__keras_tensor__",  # the inputs of a layer
    "Concatenate",
    "Dense",
    "DTypePolicy",
    "Functional",
    "GlorotUniform",  # default initializer of a Dense layer, for custom heads
    "InputLayer",
    "TruncatedNormal",
    "Zeros",
}


def network_from_json(text: str, place: str) -> keras.Model:
    """Builds a network with newly initialized weights from the text that `model.to_json()` returned.

    Args:
      text: the description.
      place: name of the description in error messages.

    Raises:
      InputError: the text is not JSON, does not describe a model, or names a class that our networks do not use.
    """
    try:
        description = json.loads(text)
        check_description(description, place)
        model = keras.models.model_from_json(json.dumps(description))
        if not isinstance(model, keras.Model):
            raise ValueError("expected a model")
        return model
    except InputError:
        raise
    except (Exception, RecursionError) as error:  # Keras raises errors of many kinds
        raise InputError(f"{place}: cannot be read as the description of a network: {reason(error)}") from error


def check_description(description, place: str) -> None:
    """Raises InputError if a description names a class that our networks do not use, and removes its compile settings."""
    remaining = [description]
    while remaining:
        item = remaining.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                item.pop("compile_config", None)
                name, registered = item["class_name"], item.get("registered_name")
                is_ours = isinstance(registered, str) and registered.startswith(_OURS)
                if not is_ours and not (name in _OF_KERAS and registered in (None, name)):
                    raise InputError(f"{place}: names the class {registered or name!r}, which no network of nasnet_tf uses; not built")
            remaining += item.values()
        elif isinstance(item, list):
            remaining += item


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model, including those of models that are its layers, as in a detector."""
    for layer in model.layers:
        yield from all_layers(layer) if isinstance(layer, keras.Model) else [layer]


def first_stack(cells: Sequence[Cell]) -> int:
    """Returns the number of normal cells in the first stack, between the reduction cells of the stem and the first reduction after it."""
    after_stem = itertools.dropwhile(lambda cell: cell.is_reduction, cells)
    return sum(1 for _ in itertools.takewhile(lambda cell: not cell.is_reduction, after_stem))


def genotype_of(model: keras.Model) -> Genotype:
    """Returns the genotype of a classifier or a detector. Its name is empty."""
    cells = [layer for layer in all_layers(model) if isinstance(layer, Cell)]
    normal = next(cell for cell in cells if not cell.is_reduction)
    genotype = Genotype(num_input_states=normal.num_input_states, normal_cell=normal.cell)
    genotype.reduction_cell.CopyFrom(next(cell.cell for cell in cells if cell.is_reduction))
    return genotype


def config_of(model: keras.Model) -> NetworkConfig:
    """Returns the NetworkConfig with which `build_network` builds the same classifier again."""
    cells = [layer for layer in model.layers if isinstance(layer, Cell)]
    normal, stem = next(cell for cell in cells if not cell.is_reduction), model.get_layer("stem")
    assert isinstance(stem, Stem)
    width = STEMS[stem.kind].width or normal.filters
    multiplier = stem.filters / width
    length = first_stack(cells)
    num_normal = sum(re.fullmatch(r"cell_\d+", cell.name) is not None for cell in cells)
    # The h_{i-1} of the first cell after a reduction is either the state that the reduction itself read or the state before that.
    after, read = model.get_layer(f"cell_{length}").input, model.get_layer("reduction_cell_0").input
    skips = len(normal.cell.outputs) == 1 and isinstance(after, list) and after[1] is not (read[0] if isinstance(read, list) else read)
    return NetworkConfig(
        length,
        stem.kind,
        multiplier if int(width * multiplier) == stem.filters else (stem.filters + 0.5) / width,
        filters=normal.filters,
        prev_skips_reduction=skips,
        auxiliary_head=any(layer.name == "auxiliary_logits" for layer in model.layers),
        dropout_rate=next((layer.rate for layer in model.layers if isinstance(layer, Dropout)), 0.0),
        drop_path_rate=cells[-1].drop_path_rate,
        stacking="released" if num_normal == 3 * length else "strided_normal",
        **vars(normal.style),
    )
