"""Calibration of a classifier: compares its probabilities with how often it is right (Guo et al. 2017, arXiv 1706.04599)."""

import dataclasses
import functools

import numpy as np

BINS = 15  # number of bins of equal width over [0, 1], as in the paper's tables


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Examples grouped by confidence, in bins of equal width. The confidence is the probability of the predicted class.

    If images have several labels, each class of each image is an example: its confidence is the probability of the class, and it is right
    if the image has that label.

    Attributes:
      examples: number of examples in each bin, int64 [bins].
      confidence: mean confidence in each bin, float64 [bins], in [0, 1]; NaN in an empty bin.
      accuracy: fraction of right answers in each bin, float64 [bins], in [0, 1]; NaN in an empty bin.
    """

    examples: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def of_sums(cls, sums: np.ndarray) -> "Calibration":
        """Returns the calibration from the sums that `binned` returns. The sums of several batches can be added up first."""
        with np.errstate(invalid="ignore"):
            return cls(sums[0].astype(np.int64), sums[1] / sums[0], sums[2] / sums[0])

    @functools.cached_property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]: the mean of |confidence - accuracy| over the bins, weighted by their examples."""
        filled = self.examples > 0
        distances = np.abs(self.confidence - self.accuracy)[filled]
        return float(distances @ self.examples[filled] / self.examples.sum()) if filled.any() else float("nan")

    def rows(self) -> list[dict]:
        """Returns a JSON-ready row for each non-empty bin: its borders, number of examples, mean confidence and accuracy."""
        edges = np.linspace(0, 1, len(self.examples) + 1)
        columns = zip(edges[:-1], edges[1:], self.examples, self.confidence, self.accuracy, strict=True)
        return [
            {"above": float(low), "to": float(high), "examples": int(count), "confidence": float(sure), "accuracy": float(right)}
            for low, high, count, sure, right in columns
            if count
        ]


def binned(confidences: np.ndarray, are_right: np.ndarray) -> np.ndarray:
    """Returns sums over the examples in each bin, float64 [3, bins]: number of examples, sum of confidences, number of right answers.

    Bin m holds confidences above m / bins, up to and including (m + 1) / bins; bin 0 also holds 0. If a confidence is NaN, all sums except
    the first are NaN.

    Args:
      confidences: float [examples], in [0, 1].
      are_right: whether each answer is right, bool [examples].
    """
    known = np.nan_to_num(confidences.astype(np.float64))
    places = np.clip(np.ceil(known * BINS).astype(int) - 1, 0, BINS - 1)
    sums = np.stack([np.bincount(places, values, BINS) for values in (np.ones(len(known)), known, are_right.astype(float))])
    if np.isnan(confidences).any():
        sums[1:] = np.nan
    return sums
