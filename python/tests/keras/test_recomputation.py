"""Layers that are computed again for their gradients: the step of a call is that of the first time."""

import contextlib

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk

BACKEND = keras.backend.backend()
# So few bits that all sums of gradients are exact, in whatever order.
MAPS = {
    "random": {
        "weights": "stochastic,5,1",
        "extrinsic": "stochastic,6,2",
        "intrinsic": {"a": {"product": "stochastic,12,2", "accumulator": "stochastic,16,2"}},
    },
    "deterministic": {
        "weights": "nearest,5,1",
        "extrinsic": "nearest,6,2,grad=clipped",
        "intrinsic": {"a": {"product": "nearest,12,2", "accumulator": "nearest,16,2"}},
    },
}


class Recomputed(L.Layer):
    """Computes its layers again, by keras.remat() around them."""

    def __init__(self, remat, **kwargs):
        super().__init__(**kwargs)
        self.a, self.b = L.Dense(4, name="a"), L.Dense(3, name="b")
        self.remat = remat

    def build(self, shape):
        self.a.build(shape)
        self.b.build((*shape[:-1], 4))

    def call(self, x):
        inner = self.remat(lambda x: self.b(self.b(self.a(x)) @ keras.ops.ones((3, 4))))
        return self.remat(lambda x: inner(x) * 2)(x)


def _scope(mode):
    return contextlib.nullcontext() if mode is None else keras.RematScope(mode=mode)


def _layers(mode):
    """Each layer in a scope; one of them is called twice."""
    x = keras.Input((5,))
    with _scope(mode):
        a = L.Dense(5, activation="relu", name="a")
        y = L.Dense(4, activation="relu", name="b")(a(a(x)))
    return keras.Model(x, L.ReLU(name="relu")(y))


def _whole(mode):
    """A model in a scope around layers in that scope."""
    x = keras.Input((5,))
    with _scope(mode):
        a = L.Dense(5, activation="relu", name="a")
        y = L.Dense(4, name="b")(L.ReLU(name="relu")(a(a(x))))
        inner = keras.Model(x, y, name="inner")
    outer = keras.Input((5,))
    return keras.Model(outer, L.Dense(2, name="c")(inner(inner(outer) @ keras.ops.ones((4, 5)))))


def _function(mode):
    x = keras.Input((5,))
    return keras.Model(x, Recomputed((lambda f: f) if mode is None else keras.remat, name="it")(x))


def _gradients(model, x):
    """Of the sum of squares of a call in training, by each parameter."""
    variables = model.trainable_variables
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = keras.ops.sum(keras.ops.square(model(x, training=True)))
        found = tape.gradient(loss, [v.value for v in variables])
    elif BACKEND == "torch":
        model.zero_grad()
        keras.ops.sum(keras.ops.square(model(x, training=True))).backward()
        found = [v.value.grad for v in variables]
    else:
        import jax

        def loss(values, others):
            y, others = model.stateless_call(values, others, x, training=True)
            return keras.ops.sum(keras.ops.square(y)), others

        others = [v.value for v in model.non_trainable_variables]
        values = [v.value for v in variables]
        found, others = jax.jit(jax.grad(loss, has_aux=True))(values, others)
        for variable, value in zip(model.non_trainable_variables, others):
            variable.assign(value)
    return [keras.ops.convert_to_numpy(g) for g in found]


def _quantized(make, mode, maps):
    model = make(mode)
    numbers = cases.rng()
    for variable in model.trainable_variables:
        variable.assign(numbers.normal(size=variable.shape) / 2)
    return tqk.quantize_model(model, **MAPS[maps], seed=5)


@pytest.mark.parametrize("maps", MAPS)
@pytest.mark.parametrize("make", [_layers, _whole, _function])
def test_gradients_are_those_without_recomputation(make, maps):
    x = cases.normal(4, 5)
    plain, again = _quantized(make, None, maps), _quantized(make, "full", maps)
    for _ in range(3):
        wanted, found = _gradients(plain, x), _gradients(again, x)
        assert all(map(cases.same_bits, found, wanted))
        assert tqk.layer_steps(again) == tqk.layer_steps(plain)
    assert bool(tqk.layer_steps(plain)) == (maps == "random")


def test_activations_can_be_recomputed_alone():
    x = cases.normal(4, 5)
    plain, again = _quantized(_layers, None, "random"), _quantized(_layers, "activations", "random")
    for _ in range(2):
        assert all(map(cases.same_bits, _gradients(again, x), _gradients(plain, x)))
    assert tqk.layer_steps(again) == tqk.layer_steps(plain)


def test_training_is_that_without_recomputation():
    x, y = cases.normal(6, 5), np.round(cases.normal(6, 4))
    models = [_quantized(_layers, mode, "random") for mode in (None, "full")]
    for model in models:
        model.compile(keras.optimizers.SGD(0.125), "mse")
        model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0)
    counts = {"input": 6, "a": 12, "b": 6, "relu": 6}
    assert tqk.layer_steps(models[0]) == tqk.layer_steps(models[1]) == counts
    assert cases.state(models[0]) == cases.state(models[1])


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's own checkpoints")
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_that_keras_does_not_know_is_refused(use_reentrant):
    import torch
    from torch.utils.checkpoint import checkpoint

    def gradient(model, x):
        x = torch.from_numpy(x).requires_grad_()
        checkpoint(
            lambda x: model(x, training=True), x, use_reentrant=use_reentrant
        ).sum().backward()
        return x.grad

    x = cases.normal(4, 5)
    model = _quantized(_layers, None, "random")
    with pytest.raises(tq.Error, match=r"computed again .* use keras.remat\(\)"):
        gradient(model, x)
    gradient(_quantized(_layers, None, "deterministic"), x)


def test_a_rounded_activation_can_be_recomputed_alone():
    """Where it is rounded it is the one that the layer was given."""
    x, results = cases.normal(4, 3), []
    for mode in (None, "activations"):
        with keras.RematScope(mode) if mode else contextlib.nullcontext():
            given = keras.Input((3,))
            model = keras.Model(given, L.Dense(2, activation="gelu", name="it")(given))
        model.set_weights([cases.normal(3, 2), cases.normal(2)])
        tqk.quantize_model(model, intrinsic={"it": "float,8,10"})
        y = cases.outputs(model, x, training=True)[0]
        results.append([y, *cases.gradients(model, x)])
    assert all(map(cases.same_bits, *results))
