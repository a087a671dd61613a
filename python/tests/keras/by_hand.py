"""What rounded layers compute, by hand: NumPy in float64, each operation rounded to few bits.

float64 tells these numbers far better than the formats ask for.
"""

import math

import numpy as np

import tensorquant as tq

VALUE = {"product": "float,8,10", "accumulator": "float,8,13"}


def product(x):
    """P: rounds products, quotients, roots and functions."""
    return tq.Quantizer(VALUE["product"])(np.asarray(x, np.float64))


def accumulated(x):
    """A: rounds sums."""
    return tq.Quantizer(VALUE["accumulator"])(np.asarray(x, np.float64))


def sum_of(x):
    """Along the last axis, which is kept."""
    total = np.zeros(x.shape[:-1])
    for k in range(x.shape[-1]):
        total = accumulated(total + x[..., k])
    return total[..., None]


def matmul(a, b, bias=None):
    """In exact arithmetic's own integers, by the functions for arrays, matrix by matrix."""
    a, b = (np.ascontiguousarray(x, np.float32) for x in (a, b))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, batch + x.shape[-2:]) for x in (a, b))
    y = np.empty((*batch, a.shape[-2], b.shape[-1]), np.float32)
    for point in np.ndindex(batch):
        y[point] = tq.matmul(
            np.ascontiguousarray(a[point]), np.ascontiguousarray(b[point]), bias, **VALUE
        )
    return y.astype(np.float64)


def softmax(x):
    difference = accumulated(x - x.max(-1, keepdims=True))
    powers = product(np.exp(difference))
    return product(powers / sum_of(powers))


def log_softmax(x):
    difference = accumulated(x - x.max(-1, keepdims=True))
    return accumulated(difference - product(np.log(sum_of(product(np.exp(difference))))))


def mean(x):
    return product(sum_of(x) / x.shape[-1])


def layer_norm(x, gamma, beta, epsilon):
    centered = accumulated(x - mean(x))
    variance = mean(product(centered * centered))
    root = product(1 / product(np.sqrt(variance + epsilon)))
    return accumulated(product(product(centered * root) * gamma) + beta)


def rms_norm(x, gamma, epsilon):
    root = product(1 / product(np.sqrt(mean(product(x * x)) + epsilon)))
    return product(product(x * root) * gamma)


def batch_norm(x, mean, variance, gamma, beta, epsilon):
    scale = product(gamma * product(1 / product(np.sqrt(variance + epsilon))))
    return accumulated(product(x * scale) + accumulated(beta - product(mean * scale)))


def gelu(x):
    return product(x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2)


def silu(x):
    return product(x / (1 + np.exp(-x)))


def elu(x, alpha):
    y = accumulated(product(np.exp(np.minimum(x, 0))) - 1)
    return np.where(x > 0, x, y if alpha == 1 else product(alpha * y))


def selu(x):
    scale, factor = np.float32(1.0507009873554804934193349852946), np.float32(1.7580993408473766)
    y = accumulated(product(np.exp(np.minimum(x, 0))) - 1)
    return np.where(x > 0, product(x * np.float64(scale)), product(y * np.float64(factor)))


def mish(x):
    return product(x * product(np.tanh(product(np.log1p(np.exp(x))))))


def attention(query, key, value, scale, visible=None):
    """Of tensors (..., rows, columns)."""
    scores = product(matmul(query, np.swapaxes(key, -1, -2)) * np.float32(scale).astype(np.float64))
    if visible is not None:
        scores = np.where(visible, scores, -np.inf)
    return matmul(softmax(scores), value)


def heads(x, kernel, bias):
    """(batch, heads, rows, size) from (batch, rows, inputs)."""
    y = matmul(x, kernel.reshape(len(kernel), -1), bias.reshape(-1).astype(np.float32))
    return np.swapaxes(y.reshape(*x.shape[:2], *kernel.shape[1:]), 1, 2)


def output_projection(y, kernel, bias):
    y = np.swapaxes(y, 1, 2)
    y = y.reshape(*y.shape[:2], -1)
    return matmul(y, kernel.reshape(-1, kernel.shape[-1]), bias.astype(np.float32))


def multi_head(x, weights, visible=None):
    wq, bq, wk, bk, wv, bv, wo, bo = weights
    q, k, v = (heads(x, *pair) for pair in ((wq, bq), (wk, bk), (wv, bv)))
    repeats = q.shape[1] // k.shape[1]
    k, v = (np.repeat(z, repeats, axis=1) for z in (k, v))
    y = attention(q, k, v, 1 / math.sqrt(q.shape[-1]), visible)
    return output_projection(y, wo, bo)
