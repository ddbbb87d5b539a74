"""Evenly spaced places in a list, for whatever cannot take all of a long list."""

import numpy as np


def evenly(length: int, limit: int) -> np.ndarray:
    """Returns at most `limit` evenly spaced indices of a list, int [n], ascending, including the first and the last."""
    return np.unique(np.linspace(0, length - 1, min(length, limit)).round().astype(int))
