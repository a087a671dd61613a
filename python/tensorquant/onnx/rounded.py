"""Nodes whose products and sums are rounded, operator by operator. No number is computed here."""

import numpy as np
import onnx

from tensorquant._core import Error
from tensorquant.frontend.rounding import ROOTS, factors_of, same_padding
from tensorquant.frontend.rounding import Rounding as LayerRounding
from tensorquant.onnx.scales import transposed
from tensorquant.ops import host
from tensorquant.ops.operation import operation_with_scales

_NOTHING = {
    *("Relu", "Clip", "Max", "Min", "Abs", "Neg", "Sign", "Where", "Ceil", "Floor", "Round"),
    *(
        "ThresholdedRelu",
        "Gather",
        "ScatterND",
        "ScatterElements",
        "TopK",
        "ReduceMax",
        "ReduceMin",
    ),
}


def arithmetic_of(layer):
    """What an intrinsic rule finds in a layer: "rounded", "nothing" or "other" arithmetic."""
    if layer.kind != "layer":
        return "nothing"
    if layer.type in _FUNCTIONS:
        return "rounded"
    return "nothing" if layer.type in _NOTHING else "other"


class NodeView:
    """A node as the functions below see it.

    Args:
        node: A NodeProto.
        operator_sets: The model's.
        initializers: A TensorProto of each constant in the file, by its name.

    Attributes:
        type: Its operator.
        version: Of the operators of its domain.
    """

    def __init__(self, node, operator_sets, initializers):
        self.type = node.op_type
        self._inputs = [initializers.get(name) for name in node.input]
        self.version = next(
            one.version for one in operator_sets if one.domain in (node.domain, "ai.onnx")
        )
        self.outputs = [name for name in node.output if name]
        self._attributes = {
            one.name: onnx.helper.get_attribute_value(one) for one in node.attribute
        }

    def get(self, name, default=None):
        """An attribute."""
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def has(self, name):
        return name in self._attributes

    def constant(self, i):
        """An input as an array; None where the file does not tell it."""
        told = self._inputs[i] if i < len(self._inputs) else None
        return None if told is None else onnx.numpy_helper.to_array(told)


class Rounding(LayerRounding):
    """What the rounded function of a node is told.

    Args:
        arithmetic: The layer's LayerArithmetic.
        step: Of random rounding.
        scales: A function that gives the TensorScales of one of the node's inputs, or None.
    """

    def __init__(self, arithmetic, step, scales):
        super().__init__(arithmetic, 0, step)
        self._scales = scales

    def scales(self, place):
        """The TensorScales of an input of the node, or None."""
        return self._scales(place)

    def sum(self, kind, operands, scales=(None, None), **options):
        """A sum of products, of elements and scales apart where operands have scales."""
        kernel = operands[1].shape[2:] if kind == "convolution" else ()
        return self._run(kind, operands, scales, kernel, options)

    def values(self, kind, *operands, **options):
        """An operation on values."""
        options = {"has_weights": False, "on_values": True, **options}
        return self._run(kind, operands, (), (), options)

    def function(self, name, *operands):
        """An elementwise function of one array, or of two that are broadcast."""
        operands = np.broadcast_arrays(*operands)
        return self.values("elementwise", *operands, function=name)

    def _run(self, kind, operands, known, kernel, options):
        arrays = [x for x in operands if x is not None]
        kinds = ", ".join(dict.fromkeys(x.dtype.name for x in arrays))
        if "," in kinds or not kinds.startswith("float"):
            raise Error(f"its arithmetic cannot be rounded: its inputs are of type {kinds}")
        operation = self._operation(kind, known, kernel, **options)
        self._index += 1
        operation, factors = operation_with_scales(operation, [one and one.scales for one in known])
        return host.arithmetic(operation.text, False, self._step, *arrays, *factors)[0]


def refuse(node):
    """Raises a tensorquant.Error where a setting of a node keeps it from being rounded."""
    for check in _REFUSALS.get(node.type, ()):
        reason = check(node)
        if reason:
            raise Error(f"its arithmetic cannot be rounded: {reason}")


def compute(node, rounding, *inputs):
    """The array that a node gives, rounded, of arrays of its inputs; None for one left out."""
    return _FUNCTIONS[node.type](node, rounding, *inputs)


def _conv(node, rounding, x, w, b=None):
    stride, dilation = _sizes(node, w.shape[2:])
    paddings = _paddings(node, x.shape[2:], w.shape[2:], stride, dilation)
    return _convolution(node, rounding, (x, w, b), paddings)


def _conv_transpose(node, rounding, x, w, b=None):
    none = (0,) * (w.ndim - 2)
    padding = tuple(node.get("pads", none + none)[: w.ndim - 2])
    more = {"transposed": True, "output_padding": tuple(node.get("output_padding", none))}
    return _convolution(node, rounding, (x, w, b), (padding, padding), **more)


def _convolution(node, rounding, operands, paddings, **options):
    stride, dilation = _sizes(node, operands[1].shape[2:])
    return rounding.sum(
        "convolution",
        operands,
        (rounding.scales(0), rounding.scales(1)),
        stride=stride,
        dilation=dilation,
        padding_begin=paddings[0],
        padding_end=paddings[1],
        groups=node.get("group", 1),
        **options,
    )


def _gemm(node, rounding, a, b, c=None):
    """The sum of products, times alpha, plus beta C, which is computed in float."""
    a_scales, b_scales = rounding.scales(0), rounding.scales(1)
    alpha, beta = (a.dtype.type(node.get(name, 1)) for name in ("alpha", "beta"))
    if node.get("transA", 0):
        a, a_scales = a.T, transposed(a_scales)
    if not node.get("transB", 0):
        b, b_scales = b.T, transposed(b_scales)
    if c is not None and beta != 1:
        c = c * beta
    is_row = c is not None and c.shape[-1:] == (b.shape[0],) and c.size == b.shape[0]
    if alpha == 1 and (c is None or is_row):
        bias = None if c is None else c.reshape(-1)
        return rounding.sum("linear", (a, b, bias), (a_scales, b_scales))
    y = rounding.sum("linear", (a, b, None), (a_scales, b_scales))
    if alpha != 1:
        y = rounding.function("multiply", y, alpha)
    return y if c is None else rounding.function("add", y, c)


def _matmul(node, rounding, a, b, bias=None):
    a_scales, b_scales = rounding.scales(0), rounding.scales(1)
    if a.ndim > 0 and b.ndim == 2:
        if bias is not None:
            bias = np.broadcast_to(bias.reshape(-1), (b.shape[1],))
        return rounding.sum("linear", (a, b.T, bias), (a_scales, transposed(b_scales)))
    if a.ndim < 2 or b.ndim < 2:
        raise Error("its arithmetic cannot be rounded: an operand has one axis")
    y = rounding.sum("matmul", (a, b), (a_scales, b_scales), has_weights=False)
    return y if bias is None else rounding.function("add", y, bias)


def _average_pool(node, rounding, x):
    kernel = tuple(node.get("kernel_shape"))
    stride, dilation = _sizes(node, kernel)
    begin, end = _paddings(node, x.shape[2:], kernel, stride, dilation)
    return rounding.sum(
        "average_pool",
        (x,),
        (rounding.scales(0),),
        has_weights=False,
        kernel=kernel,
        stride=stride,
        padding_begin=begin,
        padding_end=end,
        ceil_mode=bool(node.get("ceil_mode", 0)),
        count_include_pad=bool(node.get("count_include_pad", 0)),
    )


def _global_average_pool(node, rounding, x):
    scales = (rounding.scales(0),)
    return rounding.sum("average_pool", (x,), scales, has_weights=False, kernel=x.shape[2:])


def _reduction(is_mean):
    options = {} if is_mean else {"divisor": 1, "product": "none"}

    def rounded(node, rounding, x, axes=None):
        axes = node.get("axes") if axes is None else [int(axis) for axis in axes.reshape(-1)]
        if not axes:
            if node.get("noop_with_empty_axes", 0):
                return x.copy()
            axes = range(x.ndim)
        axes = sorted(axis % x.ndim for axis in axes)
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        size = int(np.prod([x.shape[axis] for axis in axes]))
        rows = x.transpose(*kept, *axes).reshape(1, -1, size)
        y = rounding.values("average_pool", rows, kernel=(size,), **options)
        shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
        return y.reshape(shape if node.get("keepdims", 1) else [x.shape[axis] for axis in kept])

    return rounded


def _softmax(logarithm):
    def rounded(node, rounding, x):
        if node.version < 13:  # all axes from this one on are one
            axis = node.get("axis", 1) % max(x.ndim, 1)
            rows = x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))
            return rounding.values("softmax", rows, logarithm=logarithm).reshape(x.shape)
        axis = node.get("axis", -1)
        last = np.moveaxis(x, axis, -1)
        return np.moveaxis(rounding.values("softmax", last, logarithm=logarithm), -1, axis)

    return rounded


def _layer_norm(node, rounding, x, gamma, beta=None):
    axis = node.get("axis", -1) % x.ndim
    gamma, beta = (p if p is None else np.broadcast_to(p, x.shape[axis:]) for p in (gamma, beta))
    options = {"dimensions": x.ndim - axis, "epsilon": node.get("epsilon", 1e-5)}
    return rounding.values("layer_norm", x, gamma, beta, **options)


def _rms_norm(node, rounding, x, gamma):
    axis = node.get("axis", -1) % x.ndim
    options = {"dimensions": x.ndim - axis, "epsilon": node.get("epsilon", 1e-5)}
    return rounding.values("rms_norm", x, np.broadcast_to(gamma, x.shape[axis:]), **options)


def _group_norm(node, rounding, x, gamma, beta):
    options = {"groups": node.get("num_groups"), "epsilon": node.get("epsilon", 1e-5)}
    return rounding.values("group_norm", x, gamma, beta, **options)


def _instance_norm(node, rounding, x, gamma, beta):
    options = {"groups": x.shape[1], "epsilon": node.get("epsilon", 1e-5)}
    return rounding.values("group_norm", x, gamma, beta, **options)


def _batch_norm(node, rounding, x, gamma, beta, mean, variance):
    epsilon = node.get("epsilon", 1e-5)
    return rounding.values("batch_norm", x, mean, variance, gamma, beta, epsilon=epsilon)


def _function(name):
    return lambda node, rounding, *operands: rounding.function(name, *operands)


def _gelu(node, rounding, x):
    is_tanh = node.get("approximate", "none") == "tanh"
    return rounding.function("gelu_tanh" if is_tanh else "gelu", x)


def _sum(node, rounding, first, *others):
    if not others:
        return first.copy()
    for x in others:
        first = rounding.function("add", first, x)
    return first


def _leaky_relu(node, rounding, x):
    slope = np.asarray(node.get("alpha", 0.01), x.dtype)
    return np.where(x > 0, x, rounding.function("multiply", x, slope))


def _prelu(node, rounding, x, slope):
    return np.where(x > 0, x, rounding.function("multiply", x, slope))


def _power(node, rounding, x, exponent):
    if exponent.size != 1:
        raise Error("its arithmetic cannot be rounded: its exponents are several")
    x = x.reshape(np.broadcast_shapes(x.shape, exponent.shape))
    exponent = float(exponent.reshape(()))
    if exponent in ROOTS:
        return rounding.function(ROOTS[exponent], x)
    y = x.copy()
    for _ in range(factors_of(exponent) - 1):
        y = rounding.function("multiply", y, x)
    return y


def _sizes(node, kernel):
    """Stride and dilation."""
    ones = (1,) * len(kernel)
    return tuple(node.get("strides", ones)), tuple(node.get("dilations", ones))


def _paddings(node, sizes, kernel, stride, dilation):
    """Before and behind each spatial axis."""
    rank = len(kernel)
    word = node.get("auto_pad", "NOTSET")
    if not word.startswith("SAME"):
        pads = tuple(node.get("pads", (0,) * 2 * rank)) if word == "NOTSET" else (0,) * 2 * rank
        return pads[:rank], pads[rank:]
    less, more = same_padding(sizes, kernel, stride, dilation)
    return (less, more) if word == "SAME_UPPER" else (more, less)


def _cuts_unevenly(node):
    pads = node.get("pads", ())
    rank = len(pads) // 2
    if tuple(pads[:rank]) != tuple(pads[rank:]):
        return "its padding is not the same on both sides"
    if node.has("output_shape") or node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "its padding follows from output_shape or auto_pad"


def _has_dilation(node):
    if any(d != 1 for d in node.get("dilations", ())):
        return "its window has a dilation"


def _gives_more(node):
    if len(node.outputs) > 1:
        return "it gives more than one result"


def _trains(node):
    return "it is in training mode" if node.get("training_mode", 0) else _gives_more(node)


def _has_scales_of_groups(node):
    if node.version < 21:
        return "before operator set 21 its scale is that of groups"


def _has_own_slope(node):
    slope = np.float32(node.get("alpha", 0.2)), np.float32(node.get("beta", 0.5))
    if slope != (np.float32(1 / 6), np.float32(0.5)):
        return "its alpha is not 1/6 or its beta not 0.5"


def _has_other_power(node):
    exponent = node.constant(1)
    if exponent is None:
        return ""
    if exponent.size != 1:
        return "its exponents are several"
    exponent = float(exponent.reshape(()))
    return "" if exponent in ROOTS else _reason_of(factors_of, exponent)


def _reason_of(function, *arguments):
    try:
        function(*arguments)
    except Error as error:
        return str(error)
    return ""


_REFUSALS = {
    "ConvTranspose": (_cuts_unevenly,),
    "AveragePool": (_has_dilation,),
    "LayerNormalization": (_gives_more,),
    "BatchNormalization": (_trains,),
    "GroupNormalization": (_has_scales_of_groups,),
    "HardSigmoid": (_has_own_slope,),
    "Pow": (_has_other_power,),
}

_FUNCTIONS = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "ReduceMean": _reduction(is_mean=True),
    "ReduceSum": _reduction(is_mean=False),
    "Softmax": _softmax(logarithm=False),
    "LogSoftmax": _softmax(logarithm=True),
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "BatchNormalization": _batch_norm,
    "Add": _function("add"),
    "Sub": _function("subtract"),
    "Mul": _function("multiply"),
    "Div": _function("divide"),
    "Sum": _sum,
    "Exp": _function("exp"),
    "Log": _function("log"),
    "Sqrt": _function("sqrt"),
    "Reciprocal": _function("reciprocal"),
    "Erf": _function("erf"),
    "Tanh": _function("tanh"),
    "Sigmoid": _function("sigmoid"),
    "Softplus": _function("softplus"),
    "HardSigmoid": _function("hardsigmoid"),
    "HardSwish": _function("hardswish"),
    "Gelu": _gelu,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Pow": _power,
}
