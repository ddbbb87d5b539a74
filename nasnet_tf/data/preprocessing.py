"""The kinds of preprocessing by name, so that an exported model can record how its images were prepared."""

import dataclasses
from collections.abc import Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.data.cifar import CifarPreprocessing
from nasnet_tf.data.imagenet import ImageNetPreprocessing

Preprocessing = CifarPreprocessing | ImageNetPreprocessing

PREPROCESSING = {"cifar": CifarPreprocessing, "imagenet": ImageNetPreprocessing}


def preprocessing_from_config(config: Mapping) -> Preprocessing:
    """Returns the preprocessing that a `.config()` describes, such as {"kind": "cifar", "image_size": 32, "cutout_size": 16}.

    Missing fields get their defaults.

    Raises:
      InputError: a kind or a field is unknown, or a value is invalid.
    """
    fields = dict(config)
    kind = fields.pop("kind", None)
    expect(kind in PREPROCESSING, "preprocessing", f"a 'kind' of {' or '.join(PREPROCESSING)}", kind)
    known = [field.name for field in dataclasses.fields(PREPROCESSING[kind])]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise InputError(f"preprocessing {kind!r}: unknown field {', '.join(unknown)}; known fields are {', '.join(known)}")
    return PREPROCESSING[kind](**fields)
