"""Draws the evidence that a network found for a class over its picture."""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.files import check_local, naming, user_path

matplotlib = OnDemand("matplotlib")
_OPACITY = 0.6  # opacity of the colors where the evidence is strongest
_UNSEEN = 0.5  # brightness of the part that the network did not see
_SHADES = 256


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A picture with the evidence for a class, which a notebook shows.

    Attributes:
      name: name of the class.
      probability: probability of the class, in [0, 1].
      heat: evidence for the class in each pixel of the picture, float32 [height, width]: 1 where it is strongest, 0 where there is none
        and in the part that the network did not see.
      pixels: the picture with the heat over it as colors, uint8 [height, width, 3]. The part that the network did not see is darkened.
    """

    name: str
    probability: float
    heat: np.ndarray = dataclasses.field(repr=False)
    pixels: np.ndarray = dataclasses.field(repr=False)

    def png(self) -> bytes:
        """Returns the pixels as a PNG file."""
        return tf.io.encode_png(self.pixels).numpy()

    _repr_png_ = png

    def save(self, path: str | os.PathLike) -> None:
        """Writes the pixels as a PNG file."""
        path = user_path(path)
        check_local(path)
        with naming(path):
            path.write_bytes(self.png())


def heat_of(grad_cam: np.ndarray, box: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
    """Returns a map of evidence, scaled to the pixels of its picture.

    Args:
      grad_cam: float [height', width'], 0 or more.
      box: the part of the picture that the network saw: (top, left, bottom, right) in pixels.
      height, width: size of the picture, in pixels.

    Returns:
      float32 [height, width]: 1 at the map's maximum, 0 outside the box.
    """
    top, left, bottom, right = box
    heat = np.zeros([height, width], np.float32)
    scaled = grad_cam / max(float(grad_cam.max()), np.finfo(np.float32).tiny)
    heat[top:bottom, left:right] = tf.image.resize(scaled[..., None], [bottom - top, right - left])[..., 0]
    return heat


def overlaid(picture: np.ndarray, heat: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Returns the picture, uint8 [height, width, 3], with the heat over it as colors, and darkened outside the box."""
    top, left, bottom, right = box
    shades = (heat[top:bottom, left:right] * (_SHADES - 1)).round().astype(np.uint8)
    colors = (255 * matplotlib.colormaps["turbo"](np.arange(_SHADES))[:, :3]).astype(np.float32)
    opacities = _OPACITY * np.linspace(0, 1, _SHADES, dtype=np.float32)
    seen = picture[top:bottom, left:right].astype(np.float32)
    seen += opacities[shades][..., None] * (colors[shades] - seen)
    result = (picture * np.float32(_UNSEEN)).astype(np.uint8)
    result[top:bottom, left:right] = seen.round()
    return result
