"""Steps of calls that are computed again for their gradients: Keras' RematScope and remat().

The step of a call is that of its first computation. So a function that Keras may compute again
notes the steps of all calls inside it, and hands them out when it runs for another time.
"""

import contextvars
import functools

import keras

from tensorquant._core import Error
from tensorquant.keras.backend import is_in_backward_pass
from tensorquant.keras.keras_internals import backend_core

_running = contextvars.ContextVar("running", default=())  # the innermost function last


class _Run:
    """A run of a function that may be computed again.

    Args:
        noted: What an earlier run has noted; None in the first one.
    """

    def __init__(self, noted=None):
        self.noted = []  # the steps of the calls inside, in their order
        self.states = {}  # of the Steps inside that have counted, where nothing else may keep them
        self._again = None if noted is None else iter(noted)

    @property
    def is_again(self):
        return self._again is not None

    def next_noted(self):
        try:
            return next(self._again)
        except StopIteration:
            raise Error("a function made other calls when it was computed again") from None

    def __enter__(self):
        self._token = _running.set((*_running.get(), self))
        return self

    def __exit__(self, *_):
        _running.reset(self._token)


def step_of_call(step, training):
    """What Step.next_call() returns."""
    runs = _running.get()
    again = max((i for i, run in enumerate(runs) if run.is_again), default=None)
    number = _count(step, training) if again is None else runs[again].next_noted()
    for run in runs if again is None else runs[again + 1 :]:
        run.noted.append(number)
    return number


def _count(step, training):
    if training and is_in_backward_pass():
        raise Error(
            "a call that rounds at random is computed again for its gradient in a way that Keras"
            " does not know of; use keras.remat() or keras.RematScope"
        )
    numbers = _state(step) * 1  # a copy: PyTorch overwrites variables in place
    if not training:
        return numbers[1]
    _set_state(step, numbers + keras.ops.convert_to_tensor([1, 0], dtype=numbers.dtype))
    return numbers[0]


def _state(step):
    for run in reversed(_running.get()):
        if step in run.states:
            return run.states[step]
    return step.state.value


def _set_state(step, state):
    runs = _running.get()
    if runs and keras.backend.backend() == "jax":
        runs[-1].states[step] = state
    else:
        step.state.assign(state)


def _remat(of_backend, function):
    """Keras' remat() of a function for PyTorch and TensorFlow, which run it again in Python."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        noted = None

        def run(*args):
            nonlocal noted
            with _Run(noted) as this:
                result = function(*args, **kwargs)
            noted = this.noted if noted is None else noted
            return result

        return of_backend(run)(*args)

    return call


def _remat_of_jax(of_backend, function):
    """The same for JAX, which traces it once: what it counts has to leave it as a result."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        steps = []

        def run(*args):
            with _Run() as this:
                result = function(*args, **kwargs)
            steps[:] = this.states
            return result, list(this.states.values())

        result, states = of_backend(run)(*args)
        for step, state in zip(steps, states):
            _set_state(step, state)
        return result

    return call


@functools.cache
def record_recomputation():
    """From now on the functions that Keras may compute again note their steps."""
    remat = _remat_of_jax if keras.backend.backend() == "jax" else _remat
    backend_core.remat = functools.partial(remat, backend_core.remat)
