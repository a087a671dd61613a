"""A model in pieces: what ONNX Runtime computes in one go, and what is computed between."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from tensorquant.onnx.session import runtime_errors


class Run(NamedTuple):
    """What the functions of steps are given.

    Attributes:
        step: Of random rounding.
        scales: The RunScales; None where nobody wants them.
        look: Called with the name and array of each value that is looked at; gives what stands in
            its place.
    """

    step: int
    scales: Any = None
    look: Callable | None = None


@dataclasses.dataclass
class Step:
    """Makes values of values.

    Attributes:
        nodes: The places of its nodes.
        inputs, outputs: The names of the values; "" for an input that is left out.
        looked_at: Those of the outputs that are looked at as soon as they are there.
        run: A function of the Run and the inputs' arrays; gives the outputs'.
        dead: The names of values that nobody reads behind it.
    """

    nodes: list
    inputs: list
    outputs: list
    looked_at: list = dataclasses.field(default_factory=list)
    run: Callable | None = None
    dead: list = dataclasses.field(default_factory=list)


class Pieces:
    """A model, or a branch of an If, as steps.

    Args:
        steps: The Steps.
        outputs: The names of its outputs.
        constants: Arrays of values that are there before the first step, by name.
    """

    def __init__(self, steps, outputs, constants):
        self._steps = steps
        self._outputs = outputs
        self._constants = constants
        self._find_dead()

    @classmethod
    def of_session(cls, session, source):
        """The whole model in one piece."""
        inputs, outputs = (
            [port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs())
        )
        step = Step([], inputs, outputs)
        step.run = in_session(session, step, source)
        return cls([step], outputs, {})

    def run(self, values, run):
        """The outputs, by name.

        Args:
            values: Arrays of the model's inputs, by name.
            run: The Run.
        """
        values = {**self._constants, **values}
        for step in self._steps:
            results = step.run(run, *(values[name] if name else None for name in step.inputs))
            values.update(zip(step.outputs, results))
            for name in step.looked_at:
                values[name] = run.look(name, values[name])
            for name in step.dead:
                del values[name]
        return {name: values[name] for name in self._outputs}

    def _find_dead(self):
        read = {*self._outputs, *self._constants}
        for step in reversed(self._steps):
            names = dict.fromkeys((*step.inputs, *step.outputs))
            step.dead = [name for name in names if name and name not in read]
            read.update(names)


def in_session(session, step, source):
    """The `run` of a Step whose nodes are an InferenceSession."""

    def run(_, *arrays):
        with runtime_errors(source):
            return session.run(step.outputs, dict(zip(step.inputs, arrays)))

    return run
