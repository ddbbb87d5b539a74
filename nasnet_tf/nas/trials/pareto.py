"""The Pareto front of a search: the measured that no other one beats in both accuracy and cost."""

from collections.abc import Iterable

from nasnet_tf.nas.trials.trial import Trial, measured


def accuracy_of(trial: Trial) -> float:
    """Returns the validation accuracy of a finished trial, even if its reward is another objective."""
    return trial.metrics.get("accuracy", trial.reward)


def cost_of(trial: Trial) -> float | None:
    """Returns the cost that the objective used, else the number of multiply-adds; None if neither is known."""
    return trial.metrics.get("cost", trial.metrics.get("mult_adds"))


def pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """Returns the Pareto front of accuracy and cost, the cheapest architecture first.

    If several architectures have equal accuracy and cost, only the earliest is included. Architectures with a predicted accuracy or an
    unknown cost are left out.
    """
    known = [trial for trial in measured(trials) if cost_of(trial) is not None]
    front = []
    for trial in sorted(known, key=lambda trial: (cost_of(trial), -accuracy_of(trial), trial.number)):
        if not front or accuracy_of(trial) > accuracy_of(front[-1]):
            front.append(trial)
    return front
