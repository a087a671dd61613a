"""The step of random rounding: a variable that Keras carries along like a seed."""

import keras
from keras import ops

from tensorquant.keras.keras_internals import KerasSaveable


class Step(keras.random.SeedGenerator, KerasSaveable):
    """Counts the training calls of a layer that rounds at random.

    To Keras it is a seed generator. So its variable is among the model's `variables`, which a
    compiled training step carries along, but not among its `weights`: `get_weights()`,
    `count_params()` and weight files in the legacy format know nothing of it. In .keras and
    .weights.h5 files it has a group of its own, which a float model does not look at and which a
    file may lack.
    """

    def __init__(self):
        # Not SeedGenerator's: the state is neither a seed nor of a seed's type.
        self.name = "tensorquant_step"
        self.backend = keras.src.backend
        # The number of the next training call, and the step of inference.
        self.state = keras.Variable(
            "zeros", shape=(2,), dtype="int32", trainable=False, autocast=False, name=self.name
        )

    def next_call(self, training):
        """The step of a call as a scalar tensor; a training call counts on.

        Args:
            training: Whether the call is one in training mode.

        Returns:
            An integer tensor of shape ().
        """
        steps = self.state.value * 1  # a copy: PyTorch overwrites variables in place
        if training:
            self.state.assign(steps + ops.convert_to_tensor([1, 0], dtype=steps.dtype))
        return steps[0] if training else steps[1]

    @property
    def training(self):
        """The number of training calls so far, which is the step of the next one."""
        return int(ops.convert_to_numpy(self.state)[0])

    @training.setter
    def training(self, step):
        self.state.assign([step, self.inference])

    @property
    def inference(self):
        """The step of calls in inference."""
        return int(ops.convert_to_numpy(self.state)[1])

    @inference.setter
    def inference(self, step):
        self.state.assign([self.training, step])

    def save_own_variables(self, store):
        store["step"] = ops.convert_to_numpy(self.state)[:1]

    def load_own_variables(self, store):
        if "step" in store.keys():
            self.training = int(store["step"][0])

    def _obj_type(self):
        return "Operation"
