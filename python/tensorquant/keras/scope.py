"""Quantizers for layers that are yet to be made: a scope, and the original TensorQuant's style."""

import functools
import inspect
import weakref
from typing import Any

import keras

from tensorquant._core import Error
from tensorquant.frontend.override_argument import make_override, warn_of_idle
from tensorquant.keras.application import Application
from tensorquant.keras.container import remember_layers
from tensorquant.keras.keras_internals import every_layer
from tensorquant.keras.twin import attach, attached, detach
from tensorquant.maps.explain import explain
from tensorquant.maps.override import Override
from tensorquant.maps.quantizer_map import QuantizerMap, quantizer_map
from tensorquant.numbers.checks import Seed, checked

_scopes = []  # those that layers are made in, the innermost last


class Scope:
    """Layers made in it get the quantizers of its maps.

    Which ones is looked up when a layer is first called or saved, or at the end of the scope: not
    before that, a layer knows the layers inside it.
    """

    def __init__(self, override):
        self._override = override
        self._waiting = []
        self._layers = []
        self._settled = weakref.WeakSet()

    def __enter__(self):
        _hook_layers()
        _scopes.append(self)
        return self

    def __exit__(self, kind, error, trace):
        _scopes.remove(self)
        if error is not None:
            return
        try:
            self._settle_all()
            idle = [rule.message for rule in explain(self._override, self._layers).idle]
            if self._override.strict and idle:
                raise Error("; ".join(idle))
        except Error:
            for layer in [*self._waiting, *self._settled]:
                detach(layer)
            raise
        warn_of_idle(idle, stacklevel=2)

    def add(self, layer):
        self._waiting.append(layer)
        attach(layer, _Waiting(self))

    def settle(self, root):
        """Looks up the quantizers of a layer and of those inside it."""
        application = Application(root, self._override, wanted=self._waits, has_input=False)
        application.attach()
        self._layers += application.named_types
        for layer in filter(self._waits, every_layer(root)):
            detach(layer)
        remember_layers(root)
        self._settled.update(layer for layer in self._waiting if not self._waits(layer))
        self._waiting = [layer for layer in self._waiting if self._waits(layer)]

    def _settle_all(self):
        inner = {id(x) for layer in self._waiting for x in every_layer(layer) if x is not layer}
        for root in [layer for layer in self._waiting if id(layer) not in inner]:
            if self._waits(root):
                self.settle(root)

    def _waits(self, layer):
        attachment = attached(layer)
        return isinstance(attachment, _Waiting) and attachment.scope is self


class _Waiting:
    """Attached to a layer whose quantizers are not looked up yet."""

    step = None

    def __init__(self, scope):
        self.scope = scope

    def settle(self, layer):
        self.scope.settle(layer)

    def call(self, layer, base_call, args, kwargs):
        self.settle(layer)
        return layer.call(*args, **kwargs)


@functools.cache
def _hook_layers():
    """From now on a new layer tells the innermost scope of itself."""
    base_init = keras.layers.Layer.__init__

    @functools.wraps(base_init)
    def __init__(self, **kwargs):
        base_init(self, **kwargs)
        if _scopes and not isinstance(self, keras.layers.InputLayer):
            _scopes[-1].add(self)

    # Keras writes the arguments of classes without an __init__ of their own to their configs.
    __init__.__signature__ = inspect.signature(base_init)
    keras.layers.Layer.__init__ = __init__


class _OverrideApi:
    """`override(...)` makes a scope; its attributes are the original TensorQuant's.

    Example:
        >>> import keras
        >>> from tensorquant.keras import override
        >>> with override(weights="nearest,8,6"):
        ...     layer = keras.layers.Dense(2)
        >>> override.extr_q_map = {"Conv1": "nearest,16,8"}  # for all layers made from now on
        >>> override.extr_q_map = None
    """

    def __init__(self):
        self._maps = {"weights": None, "extrinsic": None, "intrinsic": None}
        self._scope = None

    @checked
    def __call__(
        self,
        weights: Any = None,
        extrinsic: Any = None,
        intrinsic: Any = None,
        *,
        maps: Any = None,
        seed: Seed = 0,
        strict: bool = False,
    ) -> Scope:
        """A scope for a `with` statement: layers made in it are quantized.

        Layers go by their own names; those that a layer or subclassed model makes for itself by
        their paths in it. The model's input has no name here: see `quantize_model`.

        Args:
            weights, extrinsic, intrinsic, maps, seed, strict: as `quantize_model` has them.

        Raises:
            tensorquant.Error: As `quantize_model`: when a layer is first called, or at the end of
                the scope.
        """
        return Scope(make_override(weights, extrinsic, intrinsic, maps, seed, strict))

    @property
    def weight_q_map(self):
        """The map of weights for layers made from now on, as the original's; None for none."""
        return self._maps["weights"]

    @weight_q_map.setter
    def weight_q_map(self, source):
        self._set("weights", source)

    @property
    def extr_q_map(self):
        """The map of outputs, likewise."""
        return self._maps["extrinsic"]

    @extr_q_map.setter
    def extr_q_map(self, source):
        self._set("extrinsic", source)

    @property
    def intr_q_map(self):
        """The map of the arithmetic inside, likewise."""
        return self._maps["intrinsic"]

    @intr_q_map.setter
    def intr_q_map(self, source):
        self._set("intrinsic", source)

    @staticmethod
    def generic_keras_override(layer_class):
        """The original's way to let a layer class take part. Here every class does.

        Args:
            layer_class: A Keras layer class.

        Returns:
            The class itself, to be assigned to its own name.
        """
        return layer_class

    def _set(self, kind, source):
        maps = {**self._maps, kind: _as_kind(source, kind)}
        if self._scope is not None:
            _scopes.remove(self._scope)  # layers made so far keep its maps
            self._scope = None
        if any(m is not None for m in maps.values()):
            self._scope = Scope(Override(**maps))
            _hook_layers()
            _scopes.insert(0, self._scope)
        self._maps = maps


def _as_kind(source, kind):
    """A map for one of the three places; quantizer_map() has made it one of weights if not told."""
    if source is None or source == "":
        return None
    if not isinstance(source, QuantizerMap) or source.kind == kind:
        return quantizer_map(source, kind)
    if source.kind != "weights" or any(rule.text.startswith("{") for rule in source.rules):
        return quantizer_map(source, kind)  # says that it is of another kind
    return quantizer_map([(rule.key, rule.weight) for rule in source.rules], kind)


override = _OverrideApi()
