"""The kinds of preprocessing by name, so that an exported model can say how its images were prepared."""

import dataclasses
from collections.abc import Mapping

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.data.cifar import CifarPreprocessing
from nasnet_tf.data.imagenet import ImageNetPreprocessing

Preprocessing = CifarPreprocessing | ImageNetPreprocessing

PREPROCESSING = {"cifar": CifarPreprocessing, "imagenet": ImageNetPreprocessing}


def preprocessing_from_config(config: Mapping) -> Preprocessing:
    """What `.config()` described, e.g. {"kind": "cifar", "image_size": 32, "cutout_size": 16}; fields left out take their default.

    Raises:
      InputError: an unknown kind or field, or a value that the kind refuses.
    """
    fields = dict(config)
    kind = fields.pop("kind", None)
    expect(kind in PREPROCESSING, "preprocessing", f"a 'kind' out of {', '.join(PREPROCESSING)}", kind)
    known = [field.name for field in dataclasses.fields(PREPROCESSING[kind])]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise InputError(f"preprocessing {kind!r}: unknown {', '.join(unknown)}; expected some of {', '.join(known)}")
    return PREPROCESSING[kind](**fields)
