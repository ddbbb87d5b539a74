"""What is worth its cost: the architectures of a search that no other one beats in both accuracy and cost."""

from collections.abc import Iterable

from nasnet_tf.nas.trials.trial import Trial, architectures


def accuracy_of(trial: Trial) -> float:
    """Validation accuracy of a finished trial, whatever its reward was made of."""
    return trial.metrics.get("accuracy", trial.reward)


def cost_of(trial: Trial) -> float | None:
    """What the objective took for its cost; multiply-adds, where it took none; None where these are not known."""
    return trial.metrics.get("cost", trial.metrics.get("mult_adds"))


def pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """The architectures than which none is cheaper and at least as accurate, or as cheap and more accurate; the cheapest first.

    Of equals the earlier one; without those whose accuracy is predicted.
    """
    known = [trial for trial in architectures(trials) if not trial.is_predicted and cost_of(trial) is not None]
    front = []
    for trial in sorted(known, key=lambda trial: (cost_of(trial), -accuracy_of(trial), trial.number)):
        if not front or accuracy_of(trial) > accuracy_of(front[-1]):
            front.append(trial)
    return front
