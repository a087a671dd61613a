"""calibrate(): maps whose numbers are those of the float model's outputs."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant import _core

RULES = {"extrinsic": "int,8,scale=max"}
RNG = np.random.default_rng(7)
# Small integers: sums are exact on every backend, in whatever order and batches they are made.
IMAGES = RNG.integers(-4, 5, (30, 6, 6, 2)).astype(np.float32)


def _network():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(4, name="fc"),
        ]
    )
    weights = np.random.default_rng(3)
    model.set_weights([weights.integers(-3, 4, w.shape) for w in model.get_weights()])
    return model


def _layer(layer, inputs=(2,)):
    return keras.Sequential([keras.Input(inputs), layer])


def _outputs(model, x):
    """The numbers of each output, without TensorQuant."""
    found = {"input": x}
    for layer in model.layers:
        x = layer(x)
        found[layer.name] = ops.convert_to_numpy(x)
    return found


def _spec(maps, name):
    return maps.extrinsic.find(name).spec


def _number(spec):
    (text,) = (part for part in spec.split(",") if part.startswith("scale="))
    return np.float32(text.removeprefix("scale="))


def test_minmax_has_the_numbers_of_numpy_on_the_float_models_outputs():
    model = _network()
    outputs = _outputs(model, IMAGES)
    maps = tqk.calibrate(model, IMAGES, tq.Override(**RULES))
    assert [rule.key for rule in maps.extrinsic] == [f"={name}" for name in outputs]
    for name, y in outputs.items():
        assert _number(_spec(maps, name)) == np.abs(y).max() / np.float32(127), name


def test_a_range_gets_a_scale_and_a_zero_point():
    x = np.array([[-1.0, 0.5], [6.375, 2.0]], np.float32)  # 7.375 = 255 s
    model = _layer(layers.Identity(name="it"))
    rule = {"it": "int,8,unsigned,scale=range"}
    spec = _spec(tqk.calibrate(model, x, tq.Override(extrinsic=rule)), "it")
    scale = np.float32(7.375) / np.float32(255)
    assert _number(spec) == scale
    assert spec.endswith(f",zero={round(1 / scale)}")


def test_an_output_is_seen_after_its_activation():
    model = _layer(layers.Dense(2, activation="relu", kernel_initializer="identity", name="fc"))
    x = np.array([[-254, 127]], np.float32)
    assert tqk.calibrate(model, x, tq.Override(extrinsic={"fc": "int,8,scale=max"})).to_json() == (
        '{"extrinsic":{"=fc":"int,8,scale=1"}}'
    )


@pytest.mark.parametrize("method", ["minmax", "percentile=99", "mse", "entropy"])
def test_the_result_depends_on_the_numbers_alone(method):
    model = _network()
    maps = tq.Override(**RULES)
    wanted = tqk.calibrate(model, IMAGES, maps, method)
    shuffled = np.random.default_rng(1).permutation(IMAGES)
    for data in (np.split(IMAGES, 30), np.split(IMAGES, range(7, 30, 7)), [IMAGES], shuffled):
        assert tqk.calibrate(model, data, maps, method) == wanted


@pytest.mark.parametrize("method", ["percentile=90", "average=0.5", "mse", "entropy"])
def test_a_method_sees_all_numbers_of_the_float_models_outputs(method):
    model = _network()
    rule = tq.Quantizer("int,4,scale=max")
    maps = tqk.calibrate(model, IMAGES, tq.Override(extrinsic=rule), method)
    for name, y in _outputs(model, IMAGES).items():
        calibrator = _core.Calibrator(method)
        for number in range(calibrator.passes):
            if number > 0:
                calibrator.begin_second_pass()
            calibrator.observe(np.ascontiguousarray(y))
        assert _number(_spec(maps, name)) == calibrator.amax(
            _core.make_quantizer("even,4,0"), ""
        ) / np.float32(7)


def test_average_averages_batches():
    model = _layer(layers.Identity(name="it"))
    batches = [np.full((1, 2), x, np.float32) for x in (127, 381)]
    maps = tq.Override(extrinsic={"it": "int,8,scale=max"})
    found = tqk.calibrate(model, batches, maps, "average=0.25")
    assert _spec(found, "it") == "int,8,scale=1.5"  # (127 + (381 - 127) / 4) / 127


class _Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return IMAGES[10 * index : 10 * index + 10], np.zeros(10)


def _generator():
    yield from np.split(IMAGES, 3)


@pytest.mark.parametrize(
    "data",
    [_Pairs(), _generator(), [(x, None) for x in np.split(IMAGES, 3)], ops.array(IMAGES)],
    ids=["PyDataset", "generator", "pairs", "tensor"],
)
def test_data_comes_in_many_ways(data):
    model, maps = _network(), tq.Override(**RULES)
    assert tqk.calibrate(model, data, maps) == tqk.calibrate(model, IMAGES, maps)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a dataset of TensorFlow")
def test_a_dataset_of_tensorflow_can_be_read_twice():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((IMAGES, np.zeros(30))).batch(7)
    model, maps = _network(), tq.Override(**RULES)
    wanted = tqk.calibrate(model, IMAGES, maps, "entropy")
    assert tqk.calibrate(model, data, maps, "entropy") == wanted


def test_several_inputs_are_a_batch_each():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([a, b], layers.Add(name="add")([a, b]))
    x = np.array([[127, 0]], np.float32)
    maps = tq.Override(extrinsic="int,8,scale=max")
    for batch in ({"a": x, "b": 3 * x}, ([x, 3 * x], None)):
        found = tqk.calibrate(model, [batch], maps)
        assert [_spec(found, name) for name in ("input", "add")] == [
            "int,8,scale=3",
            "int,8,scale=4",
        ]


def test_a_layer_that_is_called_twice_is_seen_twice_and_has_a_rule_for_each_name():
    shared = layers.Dense(2, kernel_initializer=lambda *a, **k: 2 * ops.eye(2), name="fc")
    x = keras.Input((2,))
    block = keras.Sequential([keras.Input((2,)), shared], name="block")
    model = keras.Model(x, block(shared(x)))
    maps = tq.Override(extrinsic={"fc": "int,8,scale=max"})
    found = tqk.calibrate(model, np.array([[127, 0]], np.float32), maps)
    assert [(rule.key, rule.output.spec) for rule in found.extrinsic] == [
        ("=fc", "int,8,scale=4"),
        ("=block/fc", "int,8,scale=4"),
    ]
    tqk.quantize_model(model, maps=found)


def test_other_rules_stay_as_they_are():
    maps = tq.Override(
        weights="int,8,per=channel,scale=max",
        extrinsic={
            "conv": "mxfp8_e4m3",
            "pool": None,
            "flat": "nearest,8,4",
            "fc": "int,8,scale=max",
        },
        intrinsic={"fc": "nearest,16,8"},
        seed=5,
        strict=True,
    )
    found = tqk.calibrate(_network(), IMAGES, maps)
    assert (found.weights, found.intrinsic) == (maps.weights, maps.intrinsic)
    assert (found.seed, found.strict) == (5, True)
    assert [rule.key for rule in found.extrinsic] == ["=conv", "=flat", "=fc"]
    assert [_spec(found, name) for name in ("conv", "flat")] == ["mxfp8_e4m3", "nearest,8,4"]


def test_the_model_runs_without_its_quantizers_and_keeps_them():
    model = _network()
    wanted = tqk.calibrate(model, IMAGES, tq.Override(**RULES))
    tqk.quantize_model(model, weights="stochastic,4,1", extrinsic="stochastic,4,1", seed=9)
    tqk.set_layer_steps(model, {"conv": 3})
    before = ops.convert_to_numpy(model(IMAGES))
    rows, variables = tqk.summary(model, None), [v.path for v in model.variables]
    assert tqk.calibrate(model, IMAGES, tq.Override(**RULES)) == wanted
    assert (tqk.summary(model, None), [v.path for v in model.variables]) == (rows, variables)
    assert tqk.layer_steps(model)["conv"] == 3
    assert (ops.convert_to_numpy(model(IMAGES)) == before).all()


def test_the_result_is_applied_and_written_as_json(tmp_path):
    model = _network()
    maps = tqk.calibrate(model, IMAGES, tq.Override(**RULES))
    (tmp_path / "maps.json").write_text(maps.to_json())
    assert tq.Override.from_file(tmp_path / "maps.json") == maps
    wanted = _outputs(model, IMAGES)["conv"]
    tqk.quantize_model(model, maps=tmp_path / "maps.json", strict=True)
    quantizer = maps.extrinsic.find("input")
    conv = model.get_layer("conv")
    found = ops.convert_to_numpy(conv(IMAGES))
    assert (found == maps.extrinsic.find("conv")(wanted)).all()
    assert (quantizer(IMAGES) != IMAGES).any()


def test_a_file_can_be_given_and_a_single_layer(tmp_path):
    (tmp_path / "maps.json").write_text('{"extrinsic": "int,8,scale=max"}')
    layer = layers.Identity(name="it")
    found = tqk.calibrate(layer, np.array([254.0], np.float32), tmp_path / "maps.json")
    assert found.to_json() == '{"extrinsic":{"=it":"int,8,scale=2"}}'


def test_a_model_that_its_first_call_builds_is_seen_with_numbers_alone():
    model = keras.Sequential([layers.Dense(2, kernel_initializer="ones", name="fc")])
    found = tqk.calibrate(model, np.array([[127, 127]], np.float32), tq.Override(**RULES))
    assert _spec(found, "fc") == "int,8,scale=2"


def test_layers_made_in_a_scope_keep_their_quantizers():
    with tqk.override(extrinsic={"fc": "nearest,8,0"}):
        model = _layer(layers.Dense(2, kernel_initializer="identity", name="fc"))
    x = np.array([[12.7, 0]], np.float32)
    found = tqk.calibrate(model, x, tq.Override(extrinsic={"fc": "int,8,scale=max"}))
    assert _number(_spec(found, "fc")) == np.float32(12.7) / np.float32(127)
    assert ops.convert_to_numpy(model(x)).tolist() == [[13, 0]]


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_types_are_seen_as_float32(dtype):
    if (keras.backend.backend(), dtype) == ("jax", "float64"):
        pytest.skip("JAX has no float64 unless asked")
    model = _layer(layers.Identity(dtype=dtype, name="it"))
    found = tqk.calibrate(
        model, np.array([[254, 1]]), tq.Override(extrinsic={"it": RULES["extrinsic"]})
    )
    assert _spec(found, "it") == "int,8,scale=2"


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_nan_and_infinities_are_left_out_with_a_warning(method):
    model = _layer(layers.Identity(name="it"), (4,))
    maps = tq.Override(extrinsic={"it": "int,8,scale=max"})
    x = np.array([[np.nan, np.inf, -np.inf, 127]], np.float32)
    message = "^the output of it had 1 NaN and 2 infinities, which were left out$"
    with pytest.warns(UserWarning, match=message) as warnings:
        assert _spec(tqk.calibrate(model, x, maps, method), "it") == "int,8,scale=1"
    assert __file__ in {warning.filename for warning in warnings}


def test_an_output_without_a_finite_number_is_an_error():
    model = _layer(layers.Identity(name="it"))
    with pytest.raises(tq.Error, match="^the model's input has no finite number, 2 NaN and 0 inf"):
        tqk.calibrate(model, np.full((1, 2), np.nan, np.float32), tq.Override(**RULES))


@pytest.mark.parametrize("method", ["minmax", "mse", "entropy"])
def test_an_output_of_zeros_keeps_its_rule_with_a_warning(method):
    model = _layer(layers.Identity(name="it"))
    maps = tq.Override(extrinsic={"it": "int,8,scale=max"})
    message = "^the output of it was 0 throughout: its rule stays 'int,8,scale=max'$"
    with pytest.warns(UserWarning, match=message):
        found = tqk.calibrate(model, np.zeros((1, 2), np.float32), maps, method)
    assert found.to_json() == '{"extrinsic":{"=it":"int,8,scale=max"}}'


@pytest.mark.parametrize("method", ["minmax", "mse", "entropy"])
def test_an_output_of_integers_keeps_its_rule_with_a_warning(method):
    model = keras.Sequential([keras.Input((1,), dtype="int32"), layers.Embedding(2, 2, name="e")])
    with pytest.warns(
        UserWarning,
        match="^the model's input had no numbers that could be seen: its rule stays 'int",
    ):
        found = tqk.calibrate(model, np.array([[1]], np.int32), tq.Override(**RULES), method)
    assert _spec(found, "input") == "int,8,scale=max"
    assert _spec(found, "e") != "int,8,scale=max"


class _Traced(layers.Layer):
    """Calls a layer in a function that the framework traces."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        if keras.backend.backend() == "torch":
            import torch

            return torch.vmap(self.inner)(x[:, None])[:, 0]
        if keras.backend.backend() == "jax":
            import jax

            return jax.jit(self.inner)(x)
        import tensorflow as tf

        return tf.function(self.inner)(x)


def test_numbers_that_cannot_be_seen_keep_their_rule_with_a_warning():
    inner = layers.Dense(2, name="fc")
    inner.build((None, 2))
    model = _layer(_Traced(inner, name="traced"))
    message = "^the output of traced/fc had no numbers that could be seen: its rule stays 'int"
    with pytest.warns(UserWarning, match=message):
        found = tqk.calibrate(model, np.ones((2, 2), np.float32), tq.Override(**RULES))
    assert _spec(found, "traced/fc") == "int,8,scale=max"
    assert _spec(found, "input") != "int,8,scale=max"


def test_a_compiled_model_is_seen_and_stays_compiled():
    model = _network()
    wanted = tqk.calibrate(model, IMAGES, tq.Override(**RULES))
    tqk.quantize_model(model, extrinsic="nearest,8,0")
    model.compile("sgd", "mse")
    before = model.predict(IMAGES, verbose=0)
    assert tqk.calibrate(model, IMAGES, tq.Override(**RULES)) == wanted
    assert (model.predict(IMAGES, verbose=0) == before).all()


def test_a_rule_that_hits_nothing_is_warned_of():
    maps = tq.Override(extrinsic={"": "int,8,scale=max", "cnv": "none"})
    with pytest.warns(tqk.IdleRuleWarning, match="cnv") as warnings:
        tqk.calibrate(_network(), IMAGES, maps)
    assert __file__ in {warning.filename for warning in warnings}


def _must_not_run():
    pytest.fail("the data was read")
    yield


@pytest.mark.parametrize(
    "extrinsic, method, message",
    [
        ("int,8,scale=max", "minmx", "calibration method 'minmx': unknown name 'minmx', did you"),
        ("int,8,scale=max", "percentile=0", "calibration method 'percentile=0'"),
        ("int,8,scale=range", "mse", "the model's input: 'int,8,scale=range' wants both ends of"),
        ({"conv": "int,8,scale=range"}, "entropy", "the output of conv: 'int,8,scale=range' wants"),
        ("nearest,8,4", "minmax", "no layer has an extrinsic quantizer to calibrate"),
        ("mxfp8_e4m3", "minmax", "no layer has an extrinsic quantizer to calibrate"),
        (None, "minmax", "no layer has an extrinsic quantizer to calibrate"),
    ],
)
def test_what_cannot_be_found_is_an_error_before_the_data_is_read(extrinsic, method, message):
    model = _network()
    with pytest.raises(tq.Error, match=f"^{message}"):
        tqk.calibrate(model, _must_not_run(), tq.Override(extrinsic=extrinsic), method)
    assert not any(row.output for row in tqk.summary(model, None))


def test_faults_of_the_maps_are_errors_before_the_data_is_read():
    maps = tq.Override(extrinsic="int,8,scale=max", intrinsic={"": "nearest,8,4", "cnv": "none"})
    maps.strict = True
    with pytest.raises(tq.Error, match="cnv"):
        tqk.calibrate(_network(), _must_not_run(), maps)


def test_a_generator_cannot_be_read_twice():
    message = "^data: 'entropy' goes through it 2 times, and a generator can only be read once"
    with pytest.raises(TypeError, match=message):
        tqk.calibrate(_network(), _must_not_run(), tq.Override(**RULES), "entropy")


class _Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return IMAGES


@pytest.mark.parametrize(
    "data, error, message",
    [
        (None, TypeError, "data: expected an array or batches, got None"),
        (1.5, TypeError, "data: expected an array or batches, got 1.5"),
        ("x", TypeError, "data: expected an array or batches, got str"),
        ({"x": IMAGES}, TypeError, "data: expected an array or batches, got dict"),
        (np.float32(1), TypeError, "data: expected an array or batches, got float32"),
        ([1, 2], TypeError, "data: expected batches of arrays, got 1"),
        ([object()], TypeError, "data: expected batches of arrays, got object"),
        ([], tq.Error, "data: there is no batch in it"),
        (IMAGES[:0], tq.Error, "data: there is no batch in it"),
        (_Endless(), tq.Error, "data: a PyDataset without end; its num_batches is None"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_that_is_none_is_an_error(data, error, message):
    model = _network()
    tqk.quantize_model(model, weights="nearest,8,4")
    rows = tqk.summary(model, None)
    with pytest.raises(error, match=f"^{message}$"):
        tqk.calibrate(model, data, tq.Override(**RULES))
    assert tqk.summary(model, None) == rows


class _Grows(layers.Layer):
    def build(self, shape):
        self.inner = layers.Dense(2, name="inner")
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


def test_layers_that_come_while_it_runs_are_an_error():
    with pytest.raises(tq.Error, match="^'grows' made layers while it ran; build the model first$"):
        tqk.calibrate(_Grows(name="grows"), np.ones((1, 2), np.float32), tq.Override(**RULES))
