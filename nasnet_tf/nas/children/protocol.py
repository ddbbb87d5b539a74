"""The interface of evaluators, which score architectures in processes that are kept between architectures."""

import abc
import pathlib

from nasnet_tf.nas.children.fidelity import TO_THE_END, Request


class Evaluator(metaclass=abc.ABCMeta):
    """Base class of evaluators, which score architectures. Each process creates an evaluator once and keeps it."""

    @abc.abstractmethod
    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        """Scores an architecture.

        Args:
          genotype_text: the genotype as textproto.
          request: how far to train, for evaluators that train.

        Returns:
          {"reward": number, "metrics": {...}}, or {"infeasible": reason}, as `nasnet_tf.nas.search.search` expects it.
        """

    def prepare(self, workdir: pathlib.Path) -> tuple[str, float]:
        """Does the work that is needed once, before the first architecture, such as training shared weights.

        The first process does this work; the others read its result.

        Args:
          workdir: work folder of the search.

        Returns:
          The name of the prepared thing, such as "shared weights", and the total time in seconds that it took; ("", 0.0) if nothing has to
          be prepared.
        """
        return "", 0.0
