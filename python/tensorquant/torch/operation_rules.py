"""Which rules of maps hit operations, which have names only once a model runs."""

import functools
import re

import torch

from tensorquant.frontend.found_layer import named_types
from tensorquant.frontend.layer_arithmetic import LayerArithmetic
from tensorquant.frontend.layer_quantizers import LayerQuantizers
from tensorquant.frontend.summary import empty_summary
from tensorquant.maps.explain import explain_model
from tensorquant.maps.override import Override
from tensorquant.maps.quantizer_map import QuantizerMap
from tensorquant.numbers.context import NO_AXES, Context
from tensorquant.numbers.quantizer import stream_of
from tensorquant.ops.torch import has_numbers
from tensorquant.torch.axes import axes_around
from tensorquant.torch.names import join
from tensorquant.torch.operations import NAMES, channel_axis, is_float_tensor
from tensorquant.torch.rounded import Rounding
from tensorquant.torch.tensor_plan import TensorPlan

STEP = "operations"  # under which name the steps of all of them go
_NUMBER = re.compile(r"_\d+$")  # behind the second and later calls of one function
_MASKED = -1e4  # what masks have in the places that they hide, or less


class OperationRules:
    """The rules that may hit operations.

    An operation is hit by a key that names it: an exact name, a regular expression, or a part of the
    name that reaches into the operation's own: `add` and `attn.matmul`, but neither `attn` nor ``;
    or `op:` and the operation's own name, whatever number stands behind it: `op:add`.

    Args:
        override: A tensorquant.Override.
        containers: The names of the modules that run and have modules inside.
        places: The FoundPlaces of the model.

    Attributes:
        later: Messages of the rules that hit no layer but may come to hit an operation.
        found: The operations so far, in the order of their first calls: by their names pairs of the
            extrinsic and the intrinsic rule that hit them, or None in their places.
    """

    def __init__(self, override, containers, places):
        layers = named_types([place for place in places if not place.is_parameter])
        has_input = "input" not in dict(layers)  # as assign() has it
        self._outputs = _Rules(override.extrinsic, containers, layers, has_input)
        self._insides = _Rules(override.intrinsic, containers, layers, has_input)
        self._seed = override.seed
        self._keeps_scales = any(rule.product is not None for rule in override.intrinsic)
        self._taken = frozenset(name for place in places for name in place.names)
        self._step = None
        self.found = {}
        self.later = [idle.message for rules in self._both for idle in rules.later]

    @property
    def _both(self):
        return self._outputs, self._insides

    @property
    def any(self):
        return any(rules.keys for rules in self._both)

    @property
    def output_rules(self):
        """Those that may quantize results."""
        return self._outputs.rules

    def may_hit(self, kind, key):
        """Whether a key of one of the maps may hit an operation."""
        rules = {"extrinsic": self._outputs, "intrinsic": self._insides}.get(kind)
        return rules is not None and key in rules.keys

    @property
    def rounds(self):
        """Whether an intrinsic rule is among them."""
        return bool(self._insides.keys)

    @property
    def are_random(self):
        plans = [
            *map(self._output_of, self._outputs.rules),
            *map(self._inside_of, self._insides.rules),
        ]
        return any(plan is not None and plan.is_random for plan in plans)

    def prepare(self, step):
        """Tells the index of the operations' step, after which the model can run.

        Raises:
            tensorquant.Error: The formats of an intrinsic rule cannot round arithmetic.
        """
        self._step = step
        self._output_plans = [
            plan
            and TensorPlan(
                plan.output,
                Context(self._seed),
                step if plan.is_random else None,
                self._keeps_scales,
            )
            for plan in map(self._output_of, self._outputs.rules)
        ]
        self._arithmetics = [
            plan and LayerArithmetic(plan) for plan in map(self._inside_of, self._insides.rules)
        ]

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

    def rounding(self, name, container, steps):
        """A Rounding for an operation whose products and sums are rounded, or None."""
        index = self._insides.first(name, container)
        arithmetic = None if index is None else self._arithmetics[index]
        if arithmetic is None:
            return None
        step = steps[self._step] if arithmetic.is_random else 0
        return Rounding(arithmetic, 0, step, name)

    def quantized(self, name, container, operation, y, steps):
        """The result of an operation, quantized as a rule says; itself where none hits it."""
        index = self._outputs.first(name, container)
        if not torch.compiler.is_compiling() and name not in self.found:
            self.found[name] = tuple(rules.hit(name, container) for rules in self._both)
        plan = None if index is None else self._output_plans[index]
        if plan is None:
            return y
        return plan.quantize(y, steps, _axes_of(plan, operation, y), _stream_of(name))

    def count(self, recorder, name, container, operation, y, steps):
        """Lets a RangeRecorder count what quantized() is about to do."""
        index = self._outputs.first(name, container)
        plan = None if index is None else self._output_plans[index]
        if plan is not None:
            axes = _axes_of(plan, operation, y)
            plan.count(recorder, name, "output", y, steps, axes, _stream_of(name))

    def quantizer_of_output(self, name):
        """The quantizer of an operation's result, by the operation's full name; or None."""
        rule = self._outputs.hit(name, name.rpartition(".")[0])
        plan = rule and self._output_of(rule)
        return plan and plan.output

    def message_of_mask(self, name, container, operands):
        """A message where a quantizer lets an addition of an attention mask hide nothing; or None."""
        rule = self._outputs.hit(name, container)
        facts = rule and self._output_of(rule) and rule.output.facts
        if not facts or facts.lowest <= _MASKED:
            return None
        for x in operands:
            if not is_float_tensor(x) or not has_numbers(x) or x.numel() == 0:
                continue
            if x.detach().min() <= _MASKED:  # autograd keeps nothing of it
                return (
                    f"operation '{name}' adds numbers as a mask has them, far below {facts.lowest:g},"
                    f" the lowest of '{rule.output}': what they are to hide will be seen; exclude it"
                    " by null"
                )
        return None

    def summaries(self):
        """A LayerSummary for each operation so far that a rule hits."""
        summaries = []
        for name, (output, inside) in self.found.items():
            plans = {
                "output": output and self._output_of(output),
                "inside": inside and self._inside_of(inside),
            }
            if not any(plans.values()):
                continue
            cited = [("extrinsic", output), ("intrinsic", inside)]
            summaries.append(
                empty_summary(name, "operation")._replace(
                    output=str(output.output) if plans["output"] else "",
                    intrinsic=inside.text.replace('"', "") if plans["inside"] else "",
                    rule=", ".join(f'{k} "{r.key}" ({r.origin})' for k, r in cited if r),
                )
            )
        return summaries

    def idle(self):
        """Messages of those rules that have hit neither a layer nor, so far, an operation."""
        messages = []
        for number, rules in enumerate(self._both):
            hit = {pair[number].key for pair in self.found.values() if pair[number] is not None}
            messages += [self._message(idle) for idle in rules.later if idle.rule.key not in hit]
        return messages

    def _message(self, idle):
        has_sdpa = any("sdpa" in name for name in self.found)
        if has_sdpa and any(word in idle.rule.key for word in ("matmul", "softmax")):
            return (
                f"{idle.message}; attention is computed by one function, sdpa: load the model with"
                " eager attention"
            )
        return f"{idle.message}; nor does it hit an operation"

    def _output_of(self, rule):
        if rule.output is None or rule.output.spec == "none":
            return None
        return LayerQuantizers(STEP, output=rule.output, seed=self._seed)

    def _inside_of(self, rule):
        if rule.product is None:
            return None
        outer = rule.outer and rule.outer._json
        return LayerQuantizers(
            STEP,
            product=rule.product,
            accumulator=rule.accumulator,
            accumulate=rule.accumulate,
            outer=outer and outer["accumulator"],
            every=outer.get("every", 0) if outer else 0,
            order=rule.order,
            seed=self._seed,
        )


def _axes_of(plan, operation, y):
    return axes_around(channel_axis(operation), y.dim()) if plan.needs_layout else NO_AXES


class _Rules:
    """Those of one map."""

    def __init__(self, quantizer_map, containers, layers, has_input):
        self.rules = [rule for rule in quantizer_map if _may_hit(rule.key, containers)]
        self.keys = tuple(rule.key for rule in self.rules)
        override = Override(**{quantizer_map.kind: quantizer_map})
        self.later = [
            idle
            for idle in explain_model(override, layers, has_input).idle
            if idle.rule.key in self.keys and idle.shadowed_by is None
        ]

    def first(self, name, container):
        """The index of the first rule that hits an operation of a module, or None."""
        return _first_hit(self.keys, name, len(container) + 1 if container else 0)

    def hit(self, name, container):
        index = self.first(name, container)
        return None if index is None else self.rules[index]


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
    if key.startswith("op:"):
        return _NUMBER.sub("", name[start:]) == key.removeprefix("op:")
    if not key.startswith(("=", "re:")):
        return key != "" and name.rfind(key) >= 0 and name.rfind(key) + len(key) > start
    return _single(key).find_rule(name) is not None


@functools.lru_cache(maxsize=4096)
def _single(key):
    return QuantizerMap({key: "fp16"}, "extrinsic")
