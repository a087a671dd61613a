"""Models with each kind of layer, tiny."""

import keras
import numpy as np
from keras import layers as L


def rng():
    return np.random.default_rng(7)


def normal(*shape):
    return rng().normal(size=shape).astype(np.float32)


def _one(layer, *shape):
    """A functional model of one layer."""

    def make():
        x = keras.Input(shape[1:])
        return keras.Model(x, layer()(x))

    return make, lambda: normal(*shape)


def _embedding():
    x = keras.Input((5,), dtype="int32")
    return keras.Model(x, L.Embedding(7, 3, name="it")(x))


def _attention():
    x = keras.Input((4, 6))
    scores = L.MultiHeadAttention(2, 3, name="it")(x, x, return_attention_scores=True)
    return keras.Model(x, scores)


def _nested():
    x = keras.Input((6, 6, 2))
    inner = keras.Model(x, L.Conv2D(3, 3, name="conv")(x), name="block")
    y = L.Flatten()(inner(x))
    return keras.Model(x, L.Dense(2, name="it")(y))


def _shared():
    x = keras.Input((3,))
    layer = L.Dense(3, name="it")
    return keras.Model(x, layer(layer(x)))


@keras.saving.register_keras_serializable("tests")
class Scale(L.Layer):
    """A layer of one's own: a parameter in a list, one in a dictionary, and one as it is."""

    def build(self, shape):
        self.factors = [self.add_weight(shape=(shape[-1],), initializer="normal", name="factor")]
        self.more = {
            "shift": self.add_weight(shape=(shape[-1],), initializer="normal", name="bias")
        }
        self.gain = self.add_weight(shape=(), initializer="normal", name="gain")

    def call(self, x):
        return x * self.factors[0] * self.gain + self.more["shift"]


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    """A layer that makes its layers for itself."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = L.Dense(units, activation="relu", name="first")
        self.second = L.Dense(units, name="second")

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], self.units))

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A subclassed model with a layer that makes layers, and automatic names."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block(name="block")
        self.scale = Scale()
        self.norm = L.BatchNormalization()
        self.head = L.Dense(2)

    def call(self, x, training=False):
        return self.head(self.norm(self.scale(self.block(x)), training=training))


def _subclassed():
    model = Subclassed()
    model(normal(2, 4))
    return model


CASES = {
    "dense": _one(lambda: L.Dense(4, activation="relu", name="it"), 2, 3),
    "conv1d": _one(lambda: L.Conv1D(4, 3, padding="causal", name="it"), 2, 7, 3),
    "conv2d": _one(lambda: L.Conv2D(4, 3, strides=2, padding="same", name="it"), 2, 7, 6, 2),
    "conv3d": _one(lambda: L.Conv3D(2, 2, name="it"), 1, 3, 4, 3, 2),
    "depthwise": _one(lambda: L.DepthwiseConv2D(3, depth_multiplier=2, name="it"), 2, 5, 6, 2),
    "separable": _one(lambda: L.SeparableConv2D(4, 3, name="it"), 2, 5, 6, 2),
    "transpose": _one(lambda: L.Conv2DTranspose(3, 3, strides=2, name="it"), 2, 4, 3, 2),
    "lstm": _one(lambda: L.LSTM(3, return_state=True, name="it"), 2, 4, 3),
    "gru": _one(lambda: L.GRU(3, return_sequences=True, name="it"), 2, 4, 3),
    "batch_norm": _one(lambda: L.BatchNormalization(name="it"), 4, 3),
    "layer_norm": _one(lambda: L.LayerNormalization(name="it"), 4, 6),
    "time_distributed": _one(lambda: L.TimeDistributed(L.Dense(3), name="it"), 2, 4, 3),
    "bidirectional": _one(lambda: L.Bidirectional(L.LSTM(3), name="it"), 2, 4, 3),
    "own_layer": _one(lambda: Scale(name="it"), 3, 4),
    "embedding": (_embedding, lambda: np.array([[0, 1, 6, 3, 2]], np.int32)),
    "attention": (_attention, lambda: normal(2, 4, 6)),
    "nested": (_nested, lambda: normal(2, 6, 6, 2)),
    "shared": (_shared, lambda: normal(2, 3)),
    "subclassed": (_subclassed, lambda: normal(5, 4)),
    "max_pool": _one(lambda: L.MaxPooling2D(name="it"), 2, 4, 6, 2),
    "average_pool": _one(lambda: L.AveragePooling2D(2, name="it"), 2, 4, 6, 2),
    "global_pool": _one(lambda: L.GlobalAveragePooling2D(name="it"), 2, 4, 6, 2),
}


def make(name):
    """A built model with parameters that lie on no grid, and an input for it."""
    model, inputs = CASES[name]
    model, x = model(), inputs()
    numbers = rng()
    for variable in model.trainable_variables:
        variable.assign(numbers.normal(size=variable.shape))
    return model, x


def outputs(model, x, training=False):
    """The float outputs as NumPy arrays."""
    y = model(x, training=training)
    return [keras.ops.convert_to_numpy(part) for part in keras.tree.flatten(y)]


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def state(model):
    return [keras.ops.convert_to_numpy(v).tobytes() for v in model.weights]


def gradients(model, x):
    """Of the sum of the first output times fixed integers, by each parameter."""
    backend = keras.backend.backend()
    variables = model.trainable_variables

    def loss_of(y):
        y = keras.tree.flatten(y)[0]
        weights = np.random.default_rng(3).integers(-4, 5, tuple(y.shape)).astype(np.float32)
        return keras.ops.sum(y * keras.ops.convert_to_tensor(weights))

    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of(model(x, training=False))
        found = tape.gradient(loss, [v.value for v in variables])
        found = [tf.convert_to_tensor(g) for g in found]  # of an embedding: slices
    elif backend == "torch":
        model.zero_grad()
        loss_of(model(x, training=False)).backward()
        found = [v.value.grad for v in variables]
    else:
        import jax

        others = [v.value for v in model.non_trainable_variables]

        def loss(values):
            return loss_of(model.stateless_call(values, others, x, training=False)[0])

        found = jax.grad(loss)([v.value for v in variables])
    return [keras.ops.convert_to_numpy(g) for g in found]
