"""The step of random rounding: a variable that Keras carries along like a seed."""

import keras
import numpy as np
from keras import ops

from tensorquant.keras.backend import not_compiled
from tensorquant.keras.keras_internals import KerasSaveable
from tensorquant.keras.recomputation import record_recomputation, step_of_call
from tensorquant.numbers.checks import Step as StepNumber
from tensorquant.numbers.checks import checked


class Step(keras.random.SeedGenerator, KerasSaveable):
    """Counts the training calls of a layer that rounds at random.

    To Keras it is a seed generator. So its variable is among the model's `variables`, which a
    compiled training step carries along, but not among its `weights`: `get_weights()`,
    `count_params()` and weight files in the legacy format know nothing of it. In .keras and
    .weights.h5 files it has a group of its own, which a float model does not look at and which a
    file may lack.

    Steps have 32 bits on every backend: the one after 2**32 - 1 is 0.
    """

    def __init__(self):
        record_recomputation()
        # Not SeedGenerator's: the state is neither a seed nor of a seed's type.
        self.name = "tensorquant_step"
        self.backend = keras.src.backend
        # The number of the next training call, and the step of inference. Their bits are those of
        # unsigned numbers, with which the backends cannot compute.
        self.state = keras.Variable(
            "zeros", shape=(2,), dtype="int32", trainable=False, autocast=False, name=self.name
        )

    @not_compiled  # it looks at what runs
    def next_call(self, training):
        """The step of a call as a scalar tensor; a training call counts on.

        Where a layer's call is computed again for its gradient, it has the step of the first time,
        and nothing is counted.

        Args:
            training: Whether the call is one in training mode.

        Returns:
            An integer tensor of shape ().
        """
        return step_of_call(self, training)

    @property
    def training(self):
        """The number of training calls so far, which is the step of the next one."""
        return int(self._numbers()[0])

    @training.setter
    @checked
    def training(self, step: StepNumber):
        self._assign(step, self.inference)

    @property
    def inference(self):
        """The step of calls in inference."""
        return int(self._numbers()[1])

    @inference.setter
    @checked
    def inference(self, step: StepNumber):
        self._assign(self.training, step)

    def _numbers(self):
        return ops.convert_to_numpy(self.state).view(np.uint32)

    def _assign(self, training, inference):
        self.state.assign(np.array([training, inference], np.uint32).view(np.int32))

    def save_own_variables(self, store):
        store["step"] = self._numbers()[:1]

    def load_own_variables(self, store):
        if "step" in store:
            self.training = store["step"][0]

    def _obj_type(self):
        return "Operation"
