"""Which rules of an extrinsic map hit operations, which have names only once a model runs."""

import functools

import torch

from tensorquant.frontend.summary import empty_summary
from tensorquant.maps.explain import explain
from tensorquant.maps.override import Override
from tensorquant.maps.quantizer_map import QuantizerMap
from tensorquant.numbers.context import NO_AXES, Context
from tensorquant.numbers.quantizer import stream_of
from tensorquant.torch.axes import axes_around
from tensorquant.torch.names import join
from tensorquant.torch.operations import NAMES, channel_axis
from tensorquant.torch.tensor_plan import TensorPlan

STEP = "operations"  # under which name the steps of all of them go


class OperationRules:
    """The rules that may hit operations.

    An operation is hit by a key that names it: an exact name, a regular expression, or a part of the
    name that reaches into the operation's own: `add` and `attn.matmul`, but neither `attn` nor ``.

    Args:
        override: A tensorquant.Override.
        containers: The names of the modules that run and have modules inside.
        layers: The names of the layers.

    Attributes:
        later: The IdleRules that hit no layer but may come to hit an operation.
        found: The operations so far, in the order of their first calls: by their names the rules
            that hit them, or None.
    """

    def __init__(self, override, containers, layers):
        self._rules = [rule for rule in override.extrinsic if _may_hit(rule.key, containers)]
        self._keys = tuple(rule.key for rule in self._rules)
        self._taken = frozenset(layers)
        self._plans = None
        self.found = {}
        names = layers if "input" in layers else ["input", *layers]  # as assign() has them
        mine = {rule.key for rule in self._rules}
        self.later = [
            idle
            for idle in explain(Override(extrinsic=override.extrinsic), names).idle
            if idle.rule.key in mine and idle.shadowed_by is None
        ]

    @property
    def any(self):
        return bool(self._rules)

    @property
    def are_random(self):
        return any(rule.output is not None and rule.output.is_random for rule in self._rules)

    def prepare(self, seed, step):
        """Tells the seed of random rounding, and the index of the operations' step."""
        self._plans = [_plan(rule.output, seed, step) for rule in self._rules]

    def name(self, container, operation, counts):
        """The name of an operation that a module calls next.

        Args:
            container: The module's name.
            operation: The operation's.
            counts: How often the running forward has called each.
        """
        full = join(container, operation)
        count = counts.get(operation, int(full in self._taken))
        counts[operation] = count + 1
        return f"{full}_{count}" if count else full

    def quantized(self, name, container, operation, y, steps):
        """The result of an operation, quantized as a rule says; itself where none hits it."""
        start = len(container) + 1 if container else 0
        index = _first_hit(self._keys, name, start)
        if not torch.compiler.is_compiling():
            self.found.setdefault(name, None if index is None else self._rules[index])
        plan = None if index is None else self._plans[index]
        if plan is None:
            return y
        axes = axes_around(channel_axis(operation), y.dim()) if plan.needs_layout else NO_AXES
        return plan.quantize(y, steps, axes, _stream_of(name))

    def summaries(self):
        """A LayerSummary for each operation so far that a rule hits."""
        return [
            empty_summary(name, "operation")._replace(
                output=str(rule.output), rule=f'extrinsic "{rule.key}" ({rule.origin})'
            )
            for name, rule in self.found.items()
            if rule is not None and rule.output is not None
        ]

    def idle(self):
        """Messages of those rules that have hit neither a layer nor, so far, an operation."""
        hit = {rule.key for rule in self.found.values() if rule is not None}
        return [self._message(idle) for idle in self.later if idle.rule.key not in hit]

    def _message(self, idle):
        has_sdpa = any("sdpa" in name for name in self.found)
        if has_sdpa and any(word in idle.rule.key for word in ("matmul", "softmax")):
            return (
                f"{idle.message}; attention is computed by one function, sdpa: load the model with"
                " eager attention"
            )
        return f"{idle.message}; nor does it hit an operation"


def _plan(quantizer, seed, step):
    if quantizer is None or quantizer.spec == "none":
        return None
    return TensorPlan(quantizer, Context(seed), step if quantizer.is_random else None)


def _may_hit(key, containers):
    """Whether a key could hit an operation of one of these modules."""
    for container in containers:
        start = len(container) + 1 if container else 0
        for operation in NAMES:
            full = join(container, operation)
            if any(_hits(key, full + end, start) for end in ("", "_1", "_2", "_10")):
                return True
    return False


# A compiler cannot look into the core: these two are constants to it.
@torch.compiler.assume_constant_result
def _stream_of(name):
    return _cached_stream_of(name)


@torch.compiler.assume_constant_result
def _first_hit(keys, name, start):
    """The index of the first key that hits an operation, whose own part begins at `start`."""
    return _searched(keys, name, start)


@functools.lru_cache(maxsize=65536)
def _cached_stream_of(name):
    return stream_of(name, "output")


@functools.lru_cache(maxsize=65536)
def _searched(keys, name, start):
    return next((index for index, key in enumerate(keys) if _hits(key, name, start)), None)


def _hits(key, name, start):
    if not key.startswith(("=", "re:")):
        return key != "" and name.rfind(key) >= 0 and name.rfind(key) + len(key) > start
    return _single(key).find_rule(name) is not None


@functools.lru_cache(maxsize=4096)
def _single(key):
    return QuantizerMap({key: "fp16"}, "extrinsic")
