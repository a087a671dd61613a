"""What the quantizers of a model have saturated and made zero, and which rules hit what."""

from collections.abc import Callable
from typing import Any

from torch import nn

from tensorquant._core import Error
from tensorquant.frontend.found_layer import named_types
from tensorquant.frontend.override_argument import make_override
from tensorquant.frontend.ranges import PlaceRanges, RangeRecorder, ranges_of
from tensorquant.maps.explain import Explanation, explain_model
from tensorquant.numbers.checks import checked
from tensorquant.torch.names import containers, is_layer, walk
from tensorquant.torch.operation_rules import OperationRules
from tensorquant.torch.parameter_rules import idle_on_parameters
from tensorquant.torch.twin import attached


@checked
def record_ranges(model: nn.Module, on: bool = True) -> None:
    """Has the quantizers of a model count from now on, from nothing: see `ranges`.

    The model computes the same and takes longer. Compiled code counts nothing.

    Args:
        model: A model that quantize_model() was called for.
        on: False: count no more, and forget.

    Raises:
        tensorquant.Error: The model has no quantizers.
    """
    _plan_of(model).ranges = RangeRecorder() if on else None


@checked
def ranges(model: nn.Module, print_fn: Callable | None = print) -> list[PlaceRanges]:
    """Shows what each quantizer has saturated and made zero since `record_ranges`.

    Weights, biases, outputs, results of operations and errors, as far as they have quantizers and
    were computed. A parameter counts again when it has changed, or is rounded at random. What is
    written in PyTorch's operations, a `TensorQuantizer`, is not counted.

    Args:
        model: The model.
        print_fn: Called with the table; None for no output.

    Returns:
        A list of PlaceRanges, in the order of the layers.

    Raises:
        tensorquant.Error: The model has no quantizers, or record_ranges() was not called.

    Example:
        >>> import torch
        >>> import tensorquant.torch as tqt
        >>> model = tqt.quantize_model(torch.nn.Sequential(torch.nn.ReLU()), extrinsic={"=0": "nearest,8,4"})
        >>> tqt.record_ranges(model)
        >>> y = model(torch.tensor([9.0, 0.01, 1.0, 0.5]))
        >>> rows = tqt.ranges(model)
        layer  place   quantizer    bits a value  values  saturated  became zero  range
        0      output  nearest,8,4  8             4       1 (25 %)   1 (25 %)     0.01 .. 9
    """
    return ranges_of(_plan_of(model).ranges, [place.name for place in walk(model)], print_fn)


@checked
def explain(model: nn.Module, maps: Any) -> Explanation:
    """Tells which rules would hit which layers and parameters of a model, and changes nothing.

    Args:
        model: A module, quantized or not.
        maps: A `tensorquant.Override`, or the path of a file with all maps.

    Returns:
        The rules of each, and the rules that do nothing; str() of it is a table. Rules that may hit
        operations are not among the idle ones: a forward tells.

    Example:
        >>> import torch
        >>> import tensorquant as tq
        >>> import tensorquant.torch as tqt
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
        >>> print(tqt.explain(model, tq.Override({"0": "bf16", "fc": "fp16"}, gradients="bf16")))
        layer  weights  extrinsic  intrinsic  gradients
        input  -        -          -          -
        0      "bf16"   -          -          "bf16"
        1      -        -          -          "bf16"
        rule 2: weights key 'fc' hits no layer
    """
    override = make_override(None, None, None, maps, 0, False)
    places = walk(model)
    layers = named_types(places)
    operations = OperationRules(override, dict(containers(model)), places)
    has_input = not is_layer(model) and "input" not in dict(layers)
    found = explain_model(override, layers, has_input)
    idle = [one for one in found.idle if one.message not in operations.later]
    return found._replace(idle=[*idle, *idle_on_parameters(found, places, operations)])


def _plan_of(model):
    plan = attached(model)
    if plan is None:
        raise Error("the model has no quantizers; call quantize_model() first")
    return plan.model
