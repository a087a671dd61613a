"""What is attached to models and to layers that hold layers."""

import keras

from tensorquant._core import Error
from tensorquant.frontend.layer_quantizers import LayerQuantizers
from tensorquant.keras.axes import output_axes
from tensorquant.keras.keras_internals import Functional, held_layers, is_training
from tensorquant.keras.layers import containers, holders, walk
from tensorquant.keras.plan import LayerPlan, quantize_floats
from tensorquant.keras.step import Step
from tensorquant.keras.tensor_quantizer import load, save
from tensorquant.keras.twin import attach, attached, can_be_saved, float_class


@can_be_saved
class ContainerPlan:
    """Quantizes the input of a whole model, and remembers the quantizers of the layers inside.

    Keras writes the layers of a Sequential or functional model to a .keras file one by one, with
    their quantizers. A class of the user's own makes its layers anew when it is loaded. So its
    config has their quantizers in the order of the layers: automatic names may have changed.

    Args:
        container: The model or layer.
        model_input: LayerQuantizers whose output quantizer is for the model's input, or None.
    """

    def __init__(self, container, model_input=None):
        self.model_input = model_input
        self.step = Step() if model_input is not None and model_input.is_random else None
        self.ranges = None  # a RangeRecorder that counts
        self._saved = None  # what the layers inside are to get, once they are there
        self._inside = _LayersInside(container)

    def settle(self, layer):
        if self._saved is None:
            return
        inside = _LayersInside(layer)
        saved_types = [kind for kind, _ in self._saved]
        if saved_types != inside.types:
            if layer.built:
                raise Error(
                    f"{type(layer).__name__} '{layer.name}' has other layers than the model that "
                    f"was saved: {inside.types}, not {saved_types}"
                )
            return  # it will make them when it is built
        for found, (_, config) in zip(walk(layer), self._saved):
            if config is not None:
                LayerPlan.restore(found.layer, config)
        self._saved = None
        self._inside = inside
        remember_layers(layer)

    def call(self, layer, base_call, args, kwargs):
        self.settle(layer)
        self._refuse_new_layers(layer)
        if self.model_input is not None:
            step = 0 if self.step is None else self.step.next_call(is_training(kwargs))
            inputs, others = split_inputs(layer, args, kwargs)
            axes = output_axes(layer, self.model_input.output)
            quantized = quantize_floats(inputs, self.model_input, step, axes, self.ranges)
            args = [quantized, *others]
        return base_call(layer, *args, **kwargs)

    def to_config(self, layer):
        config = {"input": None if self.model_input is None else self.model_input.to_config(save)}
        if not _saves_its_layers(layer):
            plans = [(found.type, found.layer, attached(found.layer)) for found in walk(layer)]
            config["inside"] = [
                [kind, None if plan is None else plan.to_config(inner)]
                for kind, inner, plan in plans
            ]
        return config

    def _refuse_new_layers(self, layer):
        if self._saved is None and self._inside.are_unchanged():
            return
        inside = _LayersInside(layer)
        if self._saved is not None or self._inside.types != inside.types:
            raise Error(
                f"{type(layer).__name__} '{layer.name}' made layers after its quantizers were "
                "chosen; build the model first"
            )
        self._inside = inside

    @classmethod
    def restore(cls, layer, config):
        model_input = config["input"] and LayerQuantizers.from_config(config["input"], load)
        plan = cls(layer, model_input)
        plan._saved = config.get("inside")
        attach(layer, plan)
        plan.settle(layer)


class _LayersInside:
    """The layers in a container, as they are now."""

    def __init__(self, container):
        self.types = [found.type for found in walk(container)]
        self._held = [(layer, list(held_layers(layer))) for layer in holders(container)]

    def are_unchanged(self):
        """Whether all layers hold what they did: each call asks, and a walk takes too long."""
        return all(held_layers(layer) == held for layer, held in self._held)


def remember_layers(root):
    """Lets the containers in a model keep the quantizers inside them when they are saved."""
    for container in containers(root):
        if attached(container) is not None or _saves_its_layers(container):
            continue
        if any(attached(found.layer) is not None for found in walk(container)):
            attach(container, ContainerPlan(container))


def split_inputs(model, args, kwargs):
    """The inputs of a model as tensors of its type, and the other arguments of its call.

    A functional model gets arrays as they are.

    Args:
        model: The model.
        args: The arguments of its call().
        kwargs: Those by name; the inputs are taken out if they are among them.
    """

    def tensor(x):
        return model.dtype_policy.convert_input(x, model.autocast, model.input_dtype)

    inputs, *others = args or [kwargs.pop(model.call_signature_parameters[0])]
    return keras.tree.map_structure(tensor, inputs), others


def _saves_its_layers(container):
    cls = float_class(container)
    return cls in (Functional, keras.Sequential) or cls.__module__.startswith("keras.")
