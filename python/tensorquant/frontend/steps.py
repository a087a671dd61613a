"""The steps of random rounding of a model's layers, by their names."""

from tensorquant._core import Error
from tensorquant.numbers.checks import check_integer


def training_steps(steps):
    """How often each layer has been called in training.

    Args:
        steps: A dictionary of a front-end's steps, which have the integers `training` and
            `inference`.
    """
    return {name: step.training for name, step in steps.items()}


def set_training_steps(steps, numbers):
    """Sets what training_steps() returns, or nothing where something is wrong.

    Args:
        steps: As above.
        numbers: A dictionary of some of the layers.

    Raises:
        tensorquant.Error: A layer does not round at random, or a number is not one of 32 bits.
    """
    checked = {}
    for name, number in numbers.items():
        if name not in steps:
            raise Error(f"the model has no layer '{name}' that rounds at random")
        checked[name] = check_integer(f"step of '{name}'", number, 0, 2**32 - 1)
    for name, number in checked.items():
        steps[name].training = number


def set_inference_steps(steps, number):
    """Sets the step of inference of all layers."""
    for step in steps.values():
        step.inference = number
