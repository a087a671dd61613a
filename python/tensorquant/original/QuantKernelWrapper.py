"""The original's functions for what is not fixed point. Their gradients are straight-through."""

from tensorquant.original import Quantizers

__all__ = ["quant_binary", "quant_halffp", "quant_log", "quant_sparse", "quant_ternary"]


def quant_log(input1):
    """A tensor with each number replaced by the closest power of two."""
    return Quantizers.LogarithmicQuantizer().quantize(input1)


def quant_sparse(input1, threshold):
    """A tensor with zero for magnitudes below the threshold."""
    return Quantizers.SparseQuantizer(threshold).quantize(input1)


def quant_halffp(input1):
    """A tensor rounded to IEEE 754 binary16."""
    return Quantizers.HalffpQuantizer().quantize(input1)


def quant_binary(input1, marginal):
    """A tensor of +marginal and -marginal."""
    return Quantizers.BinaryQuantizer(marginal).quantize(input1)


def quant_ternary(input1, marginal, auto_threshold=True, threshold=0.5):
    """A tensor of +marginal, -marginal and 0; see Quantizers.TernaryQuantizer."""
    return Quantizers.TernaryQuantizer(marginal, auto_threshold, threshold).quantize(input1)
