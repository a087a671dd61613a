"""Layers on values, attention and activations, rounded: the golden bits, and those of a hand."""

import by_hand
import cases
import golden
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk

VALUE = by_hand.VALUE
EVERY = 12  # JAX compiles each shape anew

ACTIVATIONS = {
    "exp": "exponential",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "gelu": "gelu",
    "softplus": "softplus",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_silu",
}
BINARY = {"add": L.Add, "sub": L.Subtract, "mul": L.Multiply}


def golden_entries(kind):
    """Without random rounding, whose streams are a layer's own; of float32, as its variables are."""
    entries = golden.value_vectors(kind)
    return [e for e in entries if e["type"] == "float32" and "stochastic" not in str(e)]


def layer_of(entry):
    kind, shape = entry["kind"], entry["shape"]
    if kind == "function":
        name = ACTIVATIONS.get(shape["function"])
        return None if name is None else L.Activation(name)
    if kind in BINARY:
        return BINARY[kind]()
    if kind == "softmax":
        return L.Softmax()
    if kind == "log_softmax":
        return L.Activation("log_softmax")
    has_gamma, has_beta = "gamma" in entry, "beta" in entry
    epsilon = float(golden.from_hex(entry["eps"], "float32", ()))
    rank = len(shape["x"])
    if rank < 2:
        return None  # Keras' layers have a batch
    if kind == "group_norm":
        options = {"epsilon": epsilon, "scale": has_gamma, "center": has_beta}
        return L.GroupNormalization(shape["groups"], axis=1, **options)
    axes = list(range(rank - shape["dimensions"], rank))
    if kind == "rms_norm":
        return L.RMSNormalization(axes, epsilon=epsilon) if has_gamma else None
    return L.LayerNormalization(axes, epsilon, scale=has_gamma, center=has_beta)


def inputs_of(entry):
    shape = entry["shape"].get("x", (len(entry["a"]) // 8,))
    return [golden.from_hex(entry[name], "float32", shape) for name in "ab" if name in entry]


# Keras has no layer that is a division or a product of matrices alone.
KINDS = [kind for kind in golden.VALUE_KINDS if kind not in ("div", "products")]


@pytest.mark.parametrize("kind", KINDS)
def test_layers_have_the_golden_bits(kind):
    tested = 0
    for entry in golden_entries(kind)[::EVERY]:
        layer, inputs = layer_of(entry), inputs_of(entry)
        if layer is None:
            continue
        if len(inputs) == 1:
            (inputs,) = inputs
            layer.build(inputs.shape)
        else:
            layer.build([x.shape for x in inputs])
        names = [name for name in ("gamma", "beta") if name in entry]
        shapes = [v.shape for v in layer.weights]
        layer.set_weights(
            [golden.from_hex(entry[n], "float32", shape) for n, shape in zip(names, shapes)]
        )
        inside = {key: entry[key] for key in ("product", "accumulator", "accumulate")}
        if "outer" in entry:
            inside["outer"] = {"accumulator": "none", **entry["outer"]}
        tqk.quantize_model(layer, intrinsic={"": inside})
        y = keras.ops.convert_to_numpy(layer(inputs))
        assert cases.same_bits(y, golden.from_hex(entry["y"], "float32", y.shape)), entry
        tested += 1
    assert tested >= 3


def made(layer, *inputs, call=None):
    """A functional model of a layer, with numbers in its variables."""
    given = [keras.Input(x.shape[1:]) for x in inputs]
    if call is None:
        call = lambda layer, given: layer(given[0] if len(given) == 1 else given)
    model = keras.Model(given, call(layer, given))
    numbers = cases.rng()
    for variable in model.weights:
        if "seed" not in variable.name:
            x = numbers.normal(size=variable.shape)
            variable.assign(np.abs(x) + 0.5 if "variance" in variable.name else x)
    return model


def rounded(layer, *inputs, call=None, training=False):
    """What it gives with everything rounded, and its weights."""
    model = made(layer, *inputs, call=call)
    weights = [np.float64(w) for w in model.get_weights()]
    tqk.quantize_model(model, intrinsic={"": VALUE}, strict=True)
    y = keras.tree.flatten(model(list(inputs), training=training))
    y = [keras.ops.convert_to_numpy(x) for x in y]
    return (y[0] if len(y) == 1 else y), weights


def same(found, wanted):
    return cases.same_bits(found, np.asarray(wanted, np.float32))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X, Y = normal(2, 3, 4), normal(2, 3, 4, seed=1)
X64, Y64 = X.astype(np.float64), Y.astype(np.float64)
OF_VALUES = {
    "gelu": (lambda: L.Activation("gelu"), lambda x: by_hand.gelu(x)),
    "silu": (lambda: L.Activation("silu"), lambda x: by_hand.silu(x)),
    "softmax": (lambda: L.Activation("softmax"), lambda x: by_hand.softmax(x)),
    "elu": (lambda: L.Activation("elu"), lambda x: by_hand.elu(x, 1)),
    "elu of an alpha": (lambda: L.ELU(0.7), lambda x: by_hand.elu(x, np.float32(0.7))),
    "celu": (lambda: L.Activation("celu"), lambda x: by_hand.elu(x, 1)),
    "selu": (lambda: L.Activation("selu"), lambda x: by_hand.selu(x)),
    "mish": (lambda: L.Activation("mish"), lambda x: by_hand.mish(x)),
    "log sigmoid": (
        lambda: L.Activation("log_sigmoid"),
        lambda x: -by_hand.product(np.log1p(np.exp(-x))),
    ),
    "softsign": (
        lambda: L.Activation("softsign"),
        lambda x: by_hand.product(x / by_hand.accumulated(1 + np.abs(x))),
    ),
    "tanh shrink": (
        lambda: L.Activation("tanh_shrink"),
        lambda x: by_hand.accumulated(x - by_hand.product(np.tanh(x))),
    ),
    "soft shrink": (
        lambda: L.Activation("soft_shrink"),
        lambda x: np.where(np.abs(x) <= 0.5, 0, by_hand.accumulated(x - np.sign(x) / 2)),
    ),
    "leaky relu": (
        lambda: L.LeakyReLU(0.3),
        lambda x: np.where(x > 0, x, by_hand.product(x * np.float64(np.float32(0.3)))),
    ),
    "relu with a slope": (
        lambda: L.ReLU(negative_slope=0.25),
        lambda x: np.where(x > 0, x, by_hand.product(x * 0.25)),
    ),
    "glu": (
        lambda: L.Activation("glu"),
        lambda x: by_hand.product(x[..., :2] * by_hand.product(1 / (1 + np.exp(-x[..., 2:])))),
    ),
    "softmax of another axis": (
        lambda: L.Softmax(1),
        lambda x: np.swapaxes(by_hand.softmax(np.swapaxes(x, 1, 2)), 1, 2),
    ),
    "softmax of two axes": (
        lambda: L.Softmax([1, 2]),
        lambda x: by_hand.softmax(x.reshape(2, 12)).reshape(2, 3, 4),
    ),
    "unit norm": (
        lambda: L.UnitNormalization(),
        lambda x: by_hand.product(
            x * by_hand.product(1 / np.sqrt(by_hand.sum_of(by_hand.product(x * x))))
        ),
    ),
}


@pytest.mark.parametrize("name", OF_VALUES)
def test_layers_on_values_are_rounded_step_by_step(name):
    make, hand = OF_VALUES[name]
    assert same(rounded(make(), X)[0], hand(X64))


MERGED = {
    "add": (lambda: L.Add(), lambda x, y: by_hand.accumulated(x + y)),
    "subtract": (lambda: L.Subtract(), lambda x, y: by_hand.accumulated(x - y)),
    "multiply": (lambda: L.Multiply(), lambda x, y: by_hand.product(x * y)),
    "average": (lambda: L.Average(), lambda x, y: by_hand.product(by_hand.accumulated(x + y) / 2)),
}


@pytest.mark.parametrize("name", MERGED)
def test_layers_that_merge_are_rounded(name):
    make, hand = MERGED[name]
    assert same(rounded(make(), X, Y)[0], hand(X64, Y64))
    row = Y[:, :1]
    assert same(rounded(make(), X, row)[0], hand(X64, Y64[:, :1]))  # broadcast
    assert same(rounded(make(), X, row[:, 0])[0], hand(X64, Y64[:, :1]))


def test_an_addition_of_three_rounds_twice():
    z = normal(2, 3, 4, seed=2)
    wanted = by_hand.accumulated(by_hand.accumulated(X64 + Y64) + z)
    assert same(rounded(L.Add(), X, Y, z)[0], wanted)


def test_maximum_and_minimum_have_nothing_to_round():
    model = made(L.Maximum(name="it"), X, Y)
    tqk.quantize_model(model, intrinsic={"": VALUE})
    assert same(keras.ops.convert_to_numpy(model([X, Y])), np.maximum(X, Y))
    assert tqk.summary(model, print_fn=None)[0].intrinsic == "nothing to round"


@pytest.mark.parametrize(
    "axes, first, second, equation",
    [
        ((2, 1), (2, 3, 4), (2, 4, 5), "bij,bjk->bik"),
        ((1, 2), (2, 4, 3), (2, 5, 4), "bji,bkj->bik"),
        (-1, (2, 4), (2, 4), "bj,bj->b"),
        ((1, 2), (2, 4), (2, 5, 4), "bj,bkj->bk"),
        ((3, 1), (2, 2, 3, 4), (2, 4, 5), "bhij,bjk->bhik"),
    ],
)
def test_dot_is_a_product_of_matrices(axes, first, second, equation):
    """Of small integers, which the formats have."""
    x, y = (np.round(normal(*s, seed=i) * 2) for i, s in enumerate((first, second)))
    wanted = np.einsum(equation, x, y)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    assert same(rounded(L.Dot(axes), x, y)[0], wanted)


def test_dot_rounds_products_and_sums():
    found = rounded(L.Dot((2, 1)), X, np.swapaxes(Y, 1, 2).copy())[0]
    assert same(found, by_hand.matmul(X, np.swapaxes(Y, 1, 2)))


def test_a_normalized_dot_product_normalizes_first():
    x, y = X[:, 0].copy(), Y[:, 0].copy()
    unit = OF_VALUES["unit norm"][1]
    wanted = by_hand.matmul(
        unit(x.astype(np.float64))[:, None], unit(y.astype(np.float64))[..., None]
    )
    assert same(rounded(L.Dot(1, normalize=True), x, y)[0], wanted[..., 0])


NORMS = {
    "layer norm": (
        lambda: L.LayerNormalization(),
        lambda x, gamma, beta: by_hand.layer_norm(x, gamma, beta, 1e-3),
    ),
    "layer norm of two axes": (
        lambda: L.LayerNormalization([1, 2]),
        lambda x, gamma, beta: by_hand.layer_norm(
            x.reshape(2, 12), gamma.reshape(12), beta.reshape(12), 1e-3
        ).reshape(2, 3, 4),
    ),
    "layer norm without gamma": (
        lambda: L.LayerNormalization(scale=False),
        lambda x, beta: by_hand.layer_norm(x, 1, beta, 1e-3),
    ),
    "rms norm": (
        lambda: L.RMSNormalization(),
        lambda x, gamma: by_hand.rms_norm(x, gamma, 1e-6),
    ),
    "instance norm": (
        lambda: L.GroupNormalization(-1),
        lambda x, gamma, beta: np.swapaxes(
            by_hand.layer_norm(np.swapaxes(x, 1, 2), gamma[:, None], beta[:, None], 1e-3), 1, 2
        ),
    ),
    "batch norm": (
        lambda: L.BatchNormalization(),
        lambda x, gamma, beta, mean, variance: by_hand.batch_norm(
            x, mean, variance, gamma, beta, 1e-3
        ),
    ),
    "batch norm of channels first": (
        lambda: L.BatchNormalization(axis=1),
        lambda x, *numbers: by_hand.batch_norm(
            x,
            numbers[2][:, None],
            numbers[3][:, None],
            numbers[0][:, None],
            numbers[1][:, None],
            1e-3,
        ),
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_normalizations_are_rounded_step_by_step(name):
    make, hand = NORMS[name]
    found, weights = rounded(make(), X)
    assert same(found, hand(X64, *weights))


def test_a_batch_norm_in_training_moves_its_statistics_as_the_float_layer():
    layers = [L.BatchNormalization(name="it") for _ in range(2)]
    models = [made(layer, X) for layer in layers]
    tqk.quantize_model(models[0], intrinsic={"": VALUE})
    outputs = [keras.ops.convert_to_numpy(model(X, training=True)) for model in models]
    found, wanted = (layer.get_weights()[2:] for layer in layers)
    assert all(np.allclose(a, b, rtol=1e-6) for a, b in zip(found, wanted))
    assert np.allclose(*outputs, atol=0.03) and not cases.same_bits(*outputs)


ATTENTION = [
    lambda: L.MultiHeadAttention(2, 3, name="it"),
    lambda: L.GroupQueryAttention(3, 4, 2, name="it"),
]


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("make", ATTENTION, ids=["heads", "groups"])
def test_attention_is_rounded_operation_by_operation(make, is_causal):
    call = lambda layer, given: layer(given[0], given[0], use_causal_mask=is_causal)
    found, weights = rounded(make(), X, call=call)
    visible = np.tri(3, dtype=bool) if is_causal else None
    assert same(found, by_hand.multi_head(X, weights, visible))


@pytest.mark.parametrize("make", ATTENTION, ids=["heads", "groups"])
def test_attention_gives_the_same_with_its_scores_and_in_training(make):
    alone = rounded(make(), X, call=lambda layer, given: layer(given[0], given[0]))[0]
    call = lambda layer, given: layer(given[0], given[0], return_attention_scores=True)
    found, scores = rounded(make(), X, call=call, training=True)[0]
    assert cases.same_bits(found, alone)
    assert np.allclose(scores.sum(-1), 1, atol=0.01) and scores.shape[-2:] == (3, 3)


def test_attention_reads_masks():
    layer, mask = L.MultiHeadAttention(2, 3, name="it"), np.array([[1, 1, 0], [1, 0, 0]], bool)
    model = made(layer, X, call=lambda layer, given: layer(given[0], given[0]))
    weights = [np.float64(w) for w in model.get_weights()]
    tqk.quantize_model(layer, intrinsic={"": VALUE})
    y = keras.ops.convert_to_numpy(layer(X, X, attention_mask=mask[:, None]))
    assert same(y, by_hand.multi_head(X, weights, mask[:, None, None]))


def test_a_query_that_sees_nothing_gives_the_bias():
    layer = L.MultiHeadAttention(2, 3, name="it")
    model = made(layer, X, call=lambda layer, given: layer(given[0], given[0]))
    tqk.quantize_model(model, intrinsic={"": VALUE})
    y = layer(X, X, attention_mask=np.zeros((2, 3, 3), bool))
    wanted = by_hand.accumulated(np.broadcast_to(layer.get_weights()[-1], (2, 3, 4)))
    assert same(keras.ops.convert_to_numpy(y), wanted)


def test_attention_over_several_axes_is_rounded():
    x = normal(2, 2, 3, 4)
    call = lambda layer, given: layer(given[0], given[0])
    layers = [L.MultiHeadAttention(2, 3, attention_axes=a, name="it") for a in ((1, 2), None)]
    found, weights = rounded(layers[0], x, call=call)
    flat = by_hand.multi_head(x.reshape(2, 6, 4), weights)
    assert same(found, flat.reshape(2, 2, 3, 4))
    assert cases.same_bits(found, rounded(layers[1], x, call=call)[0])


@pytest.mark.parametrize("use_scale", [True, False])
def test_dot_product_attention_is_rounded(use_scale):
    found, weights = rounded(L.Attention(use_scale=use_scale), X, Y)
    scores = by_hand.matmul(X, np.swapaxes(Y, 1, 2))
    scores = by_hand.product(scores * weights[0]) if use_scale else scores
    assert same(found, by_hand.matmul(by_hand.softmax(scores), Y))


def test_dot_product_attention_reads_masks():
    layer = tqk.quantize_model(L.Attention(), intrinsic={"": VALUE})
    seen = np.array([[1, 1, 0], [1, 0, 1]], bool)
    y = keras.ops.convert_to_numpy(layer([X, Y], mask=[seen, seen]))
    scores = np.where(seen[:, None], by_hand.matmul(X, np.swapaxes(Y, 1, 2)), -np.inf)
    wanted = by_hand.matmul(by_hand.softmax(scores), Y)
    assert same(y, np.where(seen[..., None], wanted, 0))


def test_additive_attention_is_rounded():
    found, (scale,) = rounded(L.AdditiveAttention(), X, Y)
    sums = by_hand.accumulated(X64[:, :, None] + Y64[:, None])
    scores = by_hand.sum_of(by_hand.product(by_hand.product(np.tanh(sums)) * scale))[..., 0]
    assert same(found, by_hand.matmul(by_hand.softmax(scores), Y))


def test_an_activation_within_a_layer_is_one_behind_it():
    for activation, hand in (("gelu", by_hand.gelu), ("softmax", by_hand.softmax)):
        found, (kernel, bias) = rounded(L.Dense(5, activation=activation), X)
        assert same(found, hand(by_hand.matmul(X, kernel, bias.astype(np.float32))))


def test_random_parts_of_a_layer_have_streams_of_their_own():
    random = {"product": "stochastic,12,8", "accumulator": "stochastic,12,8"}
    for make in ATTENTION:
        model = made(make(), X, call=lambda layer, given: layer(given[0], given[0]))
        tqk.quantize_model(model, intrinsic={"": random}, seed=3)
        first, again = (cases.outputs(model, X)[0] for _ in range(2))
        assert cases.same_bits(first, again)
        tqk.quantize_model(model, intrinsic={"": random}, seed=4)
        assert not cases.same_bits(first, cases.outputs(model, X)[0])


@pytest.mark.parametrize(
    "make, reason",
    [
        (
            lambda: L.Dense(2, activation="squareplus", name="it"),
            "its activation 'squareplus' cannot be round",
        ),
        (lambda: L.Activation("squareplus", name="it"), "cannot be rounded: 'it'"),
        (lambda: L.ReLU(negative_slope=0.5, threshold=1, name="it"), "cannot be rounded: 'it'"),
        (lambda: L.BatchNormalization(renorm=True, name="it"), "batch renormalization"),
        (
            lambda: L.MultiHeadAttention(2, 3, activity_regularizer="l2", name="it"),
            "activity_regularizer",
        ),
        (lambda: L.LSTM(2, name="it"), "cannot be rounded: 'it'"),
    ],
)
def test_what_cannot_be_rounded_is_refused_at_once(make, reason):
    layer = make()
    with pytest.raises(tq.Error, match=reason):
        tqk.quantize_model(layer, intrinsic={"": VALUE})
    assert tqk.summary(layer, print_fn=None)[0].intrinsic in (None, "", "-")
