"""A network from its description in JSON, which may come from anybody: known classes only, and no code.

Keras would build whatever class of its own or of anybody who registered one is named there, Lambda layers among them.
"""

import json

import keras

import nasnet_tf.models.network  # noqa: F401  registers the cells with Keras
from nasnet_tf.errors import InputError, reason

_OURS = "nasnet_tf>"  # the package that our classes are registered under
_OF_KERAS = {
    "__keras_tensor__",  # how layers say what they are called on
    "Concatenate",
    "Dense",
    "DTypePolicy",
    "Functional",
    "GlorotUniform",  # of a Dense layer as it comes: a head of one's own
    "InputLayer",
    "TruncatedNormal",
    "Zeros",
}


def network_from_json(text: str, place: str) -> keras.Model:
    """A network with fresh weights from what `model.to_json()` gave.

    Args:
      place: what to call it in an error.

    Raises:
      InputError: not JSON, not a network of ours, or one with a class beyond those that our networks are made of.
    """
    try:
        description = json.loads(text)
        _check(description, place)
        model = keras.models.model_from_json(json.dumps(description))
        if not isinstance(model, keras.Model):
            raise ValueError("expected a model")
        return model
    except InputError:
        raise
    except (Exception, RecursionError) as error:  # Keras raises whatever it meets
        raise InputError(f"{place}: cannot be read as the description of a network: {reason(error)}") from error


def _check(description, place: str) -> None:
    remaining = [description]
    while remaining:
        item = remaining.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                name, registered = item["class_name"], item.get("registered_name")
                is_ours = isinstance(registered, str) and registered.startswith(_OURS)
                if not is_ours and not (name in _OF_KERAS and registered in (None, name)):
                    raise InputError(f"{place}: names the class {registered or name!r}, which no network of nasnet_tf has; not built")
            remaining += item.values()
        elif isinstance(item, list):
            remaining += item
