"""The twin of a layer class: the same class with a place for quantizers.

An object gets its quantizers by becoming an instance of the twin of its class. It stays the same
object with the same variables, so models that are built, loaded or subclassed need no rebuilding.
The twin has the name of the class, because Keras derives the names of layers and of groups in
weight files from it.
"""

import functools
from typing import Protocol

import keras

from tensorquant.keras.keras_internals import (
    public_name,
    track_seed_generator,
    untrack_seed_generator,
)

_CONFIG = "tensorquant"  # the key in a layer's config
_ATTACHED = "_tensorquant"  # the attributes of a layer
_STEP = "_tensorquant_step"
_SUPPORTS_JIT = "_tensorquant_supports_jit"

_twins = {}  # by class
_kinds = {}  # of attachments, by class name


class Attachment(Protocol):
    """What can be attached to a layer."""

    step = None  # a Step, or None

    def settle(self, layer):
        """Called before each call of the layer and before it is saved; may attach something else."""

    def call(self, layer, base_call, args, kwargs):
        """Takes the place of the layer's call(), which is `base_call(layer, *args, **kwargs)`."""

    def to_config(self, layer):
        """Plain data from which restore() attaches the same."""

    @classmethod
    def restore(cls, layer, config):
        """Attaches to a layer what to_config() told."""


def can_be_saved(attachment_class):
    """Class decorator: a layer's config can name this class of attachments."""
    _kinds[attachment_class.__name__] = attachment_class
    return attachment_class


def attached(layer):
    """What is attached to a layer, or None."""
    return vars(layer).get(_ATTACHED)


def attach(layer, attachment):
    """Makes the calls of a layer go through an attachment, which replaces an earlier one."""
    detach(layer)
    _set_class(layer, _twin_of(type(layer)))
    attributes = vars(layer)  # past __setattr__: nothing that Keras or a framework should track
    attributes[_ATTACHED] = attachment
    if attachment.step is not None:
        attributes[_STEP] = attachment.step  # where Keras finds it when it saves and loads
        track_seed_generator(layer, attachment.step)
    if keras.backend.backend() == "tensorflow":
        attributes[_SUPPORTS_JIT] = layer.supports_jit
        layer.supports_jit = False  # XLA does not know the ops


def detach(layer):
    """Gives a layer back as it was before attach()."""
    attributes = vars(layer)
    if attributes.pop(_ATTACHED, None) is None:
        return
    step = attributes.pop(_STEP, None)
    if step is not None:
        untrack_seed_generator(layer, step)
    if _SUPPORTS_JIT in attributes:
        layer.supports_jit = attributes.pop(_SUPPORTS_JIT)
    _set_class(layer, float_class(layer))


def float_class(layer):
    """The class of a layer without anything attached."""
    return getattr(type(layer), "_tensorquant_base", type(layer))


def settled(layer):
    """What is attached to a layer once its maps are looked up, or None."""
    if attached(layer) is not None:
        attached(layer).settle(layer)
    return attached(layer)


def _set_class(layer, cls):
    object.__setattr__(layer, "__class__", cls)


def _twin_of(base):
    twin = _twins.get(base)
    if twin is None:
        twin = _twins[base] = _make_twin(base)
        # One name for all twins: what is saved names the class itself, and any twin's from_config()
        # reads it. So files open wherever this package and the layer's class are imported.
        keras.saving.register_keras_serializable("tensorquant", "QuantizedLayer")(twin)
    return twin


def _make_twin(base):
    def __call__(self, *args, **kwargs):
        settled(self)
        return base.__call__(self, *args, **kwargs)

    @functools.wraps(base.call)  # Keras reads the signature
    def call(self, *args, **kwargs):
        attachment = attached(self)
        if attachment is None:  # a new object of this class, such as clone_model() makes of a model
            return base.call(self, *args, **kwargs)
        return attachment.call(self, base.call, args, kwargs)

    @functools.wraps(base.get_config)  # Keras marks its default by an attribute
    def get_config(self):
        attachment = settled(self)
        config = base.get_config(self)
        if type(self) is base:
            return config
        saved = {"class": public_name(base), "kind": None}
        if attachment is not None:
            saved |= {"kind": type(attachment).__name__, **attachment.to_config(self)}
        return {**config, _CONFIG: saved}

    def build_from_config(self, config):
        base.build_from_config(self, config)
        settled(self)

    members = {
        "__module__": "tensorquant.keras",
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "__call__": __call__,
        "call": call,
        "get_config": get_config,
        "build_from_config": build_from_config,
        "from_config": classmethod(_from_config),
        "_tensorquant_base": base,
    }
    return type(base)(base.__name__, (base,), members)


def _from_config(cls, config):
    config = dict(config)
    saved = config.pop(_CONFIG, None)
    if saved is None:
        return cls._tensorquant_base.from_config(config)
    layer = keras.saving.deserialize_keras_object({**saved["class"], "config": config})
    if saved["kind"] is not None:
        _kinds[saved["kind"]].restore(layer, saved)
    return layer


_twin_of(keras.layers.Layer)  # registers the name, for files that are loaded before anything else
