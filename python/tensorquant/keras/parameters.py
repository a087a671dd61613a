"""The parameters of a layer, and where it holds them."""

import dataclasses

import keras

from tensorquant._core import is_bias
from tensorquant.frontend.layer_quantizers import numbered
from tensorquant.keras.keras_internals import with_inner
from tensorquant.keras.layers import is_whole, own_variables

# Keras' own lists of variables. Whoever reads them must see variables.
_BOOKKEEPING = {"_trainable_variables", "_non_trainable_variables"}


@dataclasses.dataclass
class Parameter:
    """A trainable variable of a layer."""

    variable: keras.Variable
    layer: keras.layers.Layer  # that made it
    role: str  # weight, weight1, bias, ...
    places: list  # where the layer holds it: pairs of a dict or list, and a key or index

    @property
    def is_bias(self):
        return self.role.startswith("bias")


def parameters(layer):
    """The float parameters of a layer, in the order of their creation.

    Args:
        layer: A built layer.

    Returns:
        A list of Parameter. Biases are the variables with `bias` in their name, and
        the normalizations' `beta`, which is a bias in libtorch; all others are weights.
    """
    holders = with_inner(layer) if is_whole(layer) else [layer]
    found = {}
    count = {"weight": 0, "bias": 0}
    for owner, variable in ((holder, v) for holder in holders for v in own_variables(holder)):
        if id(variable) in found or not keras.backend.is_float_dtype(variable.dtype):
            continue
        role = "bias" if is_bias(variable.name) or variable.name == "beta" else "weight"
        found[id(variable)] = Parameter(variable, owner, numbered(role, count[role]), [])
        count[role] += 1
    for holder in holders:
        for container in _containers(vars(holder)):
            items = container.items() if isinstance(container, dict) else enumerate(container)
            for key, value in items:
                if isinstance(value, keras.Variable) and id(value) in found:
                    found[id(value)].places.append((container, key))
    return list(found.values())


def _containers(attributes):
    """A layer's attributes, and the lists and dictionaries among them."""
    yield attributes
    for name, value in attributes.items():
        if isinstance(value, (list, dict)) and name not in _BOOKKEEPING:
            yield value


def put_tensors(replacements):
    """Makes a layer hold tensors in place of its parameters.

    Args:
        replacements: Pairs of a Parameter and a tensor.
    """
    for parameter, tensor in replacements:
        _put(parameter, tensor)


def put_variables_back(replacements):
    """Undoes put_tensors(), also where that did not come to its end."""
    for parameter, _ in replacements:
        _put(parameter, parameter.variable)


def _put(parameter, value):
    for container, key in parameter.places:
        # Not its own __setitem__: Keras tracks what is put into its lists and dictionaries.
        (dict if isinstance(container, dict) else list).__setitem__(container, key, value)
