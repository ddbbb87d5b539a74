"""What scores architectures, in processes that are kept, in the place of trained children."""

import abc
import pathlib

from nasnet_tf.nas.children.fidelity import TO_THE_END, Request


class Evaluator(metaclass=abc.ABCMeta):
    """Scores architectures. A new one inherits from this class; every process that is kept makes one for itself."""

    @abc.abstractmethod
    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        """Returns {"reward": number, "metrics": {...}} or {"infeasible": reason}, as `nasnet_tf.nas.search.search` takes it."""

    def prepare(self, workdir: pathlib.Path) -> tuple[str, float]:
        """Does what must be done once, before the first architecture; in other processes than the first, reads what that one has made.

        Args:
          workdir: of the search.

        Returns:
          (what was prepared, seconds that it took in all); ("", 0.0) where there is nothing to prepare.
        """
        return "", 0.0
