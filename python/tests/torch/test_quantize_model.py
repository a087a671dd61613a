"""What quantize_model() does to a model: outputs, the input, names, errors, and how it ends."""

import copy
import warnings

import hands
import models
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

SPEC = "nearest,8,4"


def sequence():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    return model, torch.randn(2, 3, 6, 6)


def test_outputs_and_the_input_are_quantized():
    model, x = sequence()
    by_hand = copy.deepcopy(model)
    tqt.quantize_model(model, extrinsic={"=0": SPEC, "=3": "nearest,6,3", "input": "nearest,8,6"})
    found = model(x)
    y = by_hand[0](hands.quantized(x, "nearest,8,6"))
    y = by_hand[3](by_hand[2](by_hand[1](hands.quantized(y, SPEC))))
    assert hands.same_bits(found, hands.quantized(y, "nearest,6,3"))


def test_the_input_is_the_first_argument_alone():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x, mask=None):
            return self.layer(x), mask

    model, x = Two(), torch.randn(4)
    tqt.quantize_model(model, extrinsic={"=input": SPEC})
    for found in (model(x, x), model(x, mask=x), model(mask=x, x=x)):
        assert hands.same_bits(found, [hands.quantized(x, SPEC), x])


def test_the_users_own_tensors_are_not_overwritten():
    model = nn.Sequential(nn.Identity(), nn.Dropout())
    x = torch.randn(5)
    before = x.clone()
    tqt.quantize_model(model.eval(), extrinsic=SPEC)
    with torch.no_grad():
        model(x)
    assert torch.equal(x, before)


def test_all_tensors_of_a_result_are_quantized_and_nothing_else():
    class Mixed(nn.Module):
        def forward(self, x):
            values = torch.return_types.max((x, torch.arange(len(x))))
            packed = nn.utils.rnn.pack_sequence([x, x[:2]])
            return {"one": [x, 3, None, "text"], "two": values, "three": packed}

    model, x = nn.Sequential(Mixed()), torch.randn(4)
    tqt.quantize_model(model, extrinsic={"=0": SPEC})
    found, y = model(x), hands.quantized(x, SPEC)
    assert hands.same_bits(found["one"][0], y) and found["one"][1:] == [3, None, "text"]
    assert hands.same_bits(found["two"].values, y)
    assert torch.equal(found["two"].indices, torch.arange(4))
    assert hands.same_bits(nn.utils.rnn.unpack_sequence(found["three"]), [y, y[:2]])


def test_a_result_that_hides_its_tensors_is_refused():
    class Hidden(nn.Module):
        def forward(self, x):
            return {1: object()}

    model = nn.Sequential(Hidden())
    tqt.quantize_model(model, extrinsic={"=0": SPEC})
    with pytest.raises(tq.Error, match=r"layer '0' \(Hidden\): it returns an object of object"):
        model(torch.ones(1))


def test_names_are_those_of_named_modules_and_named_parameters():
    model, _ = models.make("language")
    rows = tqt.summary(tqt.quantize_model(model, weights=SPEC), print_fn=None)
    assert [(row.layer, row.type) for row in rows[:6]] == [
        ("pos_embed", "Parameter"),
        ("wte", "Embedding"),
        ("blocks.0.norm1", "LayerNorm"),
        ("blocks.0.attn.qkv", "Linear"),
        ("blocks.0.attn.proj", "Linear"),
        ("blocks.0.norm2", "LayerNorm"),
    ]
    assert all(row.weights == SPEC for row in rows if row.type != "GELU")
    encoder, _ = models.make("encoder")
    names = [row.layer for row in tqt.summary(encoder, print_fn=None)]
    assert names[:2] == ["encoder.layers.0.self_attn", "encoder.layers.0.linear1"]


def test_the_summary_shows_roles_input_and_rules():
    model, _ = sequence()
    maps = {"weights": {"=3": {"bias": SPEC}}, "extrinsic": {"input": SPEC, "=0": "bf16"}}
    tqt.quantize_model(model, **maps)
    printed = []
    rows = tqt.summary(model, printed.append)
    assert [tuple(row) for row in rows[:2]] == [
        ("input", "", "", "", SPEC, "", 'extrinsic "input" (rule 1)'),
        ("0", "Conv2d", "", "", "bf16", "", 'extrinsic "=0" (rule 2)'),
    ]
    assert tuple(rows[-1]) == ("3", "Linear", "", SPEC, "", "", 'weights "=3" (rule 1)')
    assert len(printed[0].splitlines()) == 1 + len(rows)


def test_a_parameter_without_a_layer_has_no_output_and_no_arithmetic():
    model, _ = models.make("experts")
    inside = {"=up": "stochastic,12,6", "gate": "nearest,12,6"}
    tqt.quantize_model(model, weights=SPEC, extrinsic="stochastic,8,4", intrinsic=inside)
    rows = {row.layer: row for row in tqt.summary(model, print_fn=None)}
    assert (rows["up"].weights, rows["up"].output, rows["up"].intrinsic) == (SPEC, "", "")
    assert rows["gate"].output == "stochastic,8,4"
    assert set(tqt.layer_steps(model)) == {"input", "gate"}


def test_a_single_layer_has_no_name():
    layer = tqt.quantize_model(nn.Linear(3, 2), weights=SPEC, extrinsic=SPEC)
    assert [(row.layer, row.output) for row in tqt.summary(layer, print_fn=None)] == [("", SPEC)]


def test_a_layer_under_two_names_is_one():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    with pytest.raises(
        tq.Error, match="one layer under two names has different rules: '0' and '2'"
    ):
        tqt.quantize_model(model, weights={"=0": SPEC})
    assert type(layer) is nn.Linear
    tqt.quantize_model(model, weights=SPEC)
    assert [row.layer for row in tqt.summary(model, print_fn=None)] == ["0", "1"]


def test_one_error_names_all_layers_and_leaves_the_model_as_it_was():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Embedding(3, 2, max_norm=1), nn.Linear(2, 2)
            self.c = nn.Linear(2, 2)
            self.b.forward = lambda x: x
            self.d = torch.nn.utils.weight_norm(nn.Linear(2, 2))
            self.e = nn.utils.prune.l1_unstructured(nn.Linear(2, 2), "weight", 2)
            self.f = torch.jit.script(nn.Linear(2, 2))

    model = Own()
    tqt.quantize_model(model, weights={"=c": SPEC})
    before = tqt.summary(model, print_fn=None)
    with pytest.raises(tq.Error) as error:
        tqt.quantize_model(model, weights="nearest,6,3")
    text = str(error.value)
    for part in (
        "'a' (Embedding)",
        "max_norm",
        "'b' (Linear)",
        "attribute",
        "'d' (Linear)",
        "hook",
    ):
        assert part in text
    assert "'c'" not in text and "\n" not in text
    assert tqt.summary(model, print_fn=None) == before


def test_a_nested_tensor_is_refused_in_words():
    model = tqt.quantize_model(nn.Sequential(nn.Identity()), extrinsic={"=0": SPEC})
    x = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with pytest.raises(TypeError, match="expected a dense tensor, found one of layout nested"):
        model(x)


def test_a_second_call_replaces_the_first():
    model, x = sequence()
    by_hand = hands.quantized_copy(model, "nearest,6,3")
    tqt.quantize_model(model, extrinsic=SPEC)
    tqt.quantize_model(model, weights="nearest,6,3")
    assert hands.same_bits(model(x), by_hand(x))


def test_rules_that_do_nothing_warn_or_are_errors():
    model, _ = sequence()
    with pytest.warns(tqt.IdleRuleWarning, match="weights key 'conv' hits no layer") as caught:
        tqt.quantize_model(model, weights={"conv": SPEC, "": SPEC})
    assert caught[0].filename == __file__
    with pytest.raises(tq.Error, match="key 'conv' hits no layer"):
        tqt.quantize_model(model, weights={"conv": SPEC}, strict=True)


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ({"extrinsic": {"gate": SPEC, "=up": SPEC}}, "rule 2: extrinsic key '=up' .* no outputs"),
        ({"intrinsic": {"scales.0": SPEC}}, "intrinsic key 'scales.0' .* no arithmetic"),
        ({"weights": {"=up": {"bias": SPEC}}}, "weights key '=up' .* for which it has no quanti"),
        ({"gradients": {"=up": {"error": SPEC}}}, "gradients key '=up' .* it has no quantizer"),
    ],
)
def test_rules_that_hit_only_parameters_for_which_they_have_nothing_are_idle(maps, words):
    model, _ = models.make("experts")
    with pytest.warns(tqt.IdleRuleWarning, match=words) as caught:
        tqt.quantize_model(model, **maps)
    assert len(caught) == 1
    with pytest.raises(tq.Error, match=words):
        tqt.quantize_model(model, **maps, strict=True)
    (idle,) = tqt.explain(model, tq.Override(**maps)).idle
    assert idle.message == str(caught[0].message)


def test_rules_that_hit_parameters_and_more_are_not_idle():
    model, x = models.make("experts")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tqt.quantize_model(
            model,
            weights={"=up": {"weight": SPEC}, "shift": {"bias": SPEC}},
            extrinsic={"u": SPEC, "": SPEC},  # `u` hits up, and the input and operations, too
            gradients={"": {"error": SPEC}},
        )(x)
        tqt.quantize_model(model, extrinsic={"re:up|input": SPEC})


def test_a_strict_rule_for_operations_is_an_error_of_the_first_forward():
    model, x = models.make("resnet")
    tqt.quantize_model(model, extrinsic={"add": SPEC, "matmul": SPEC}, strict=True)
    with pytest.raises(tq.Error, match="^rule 2: extrinsic key 'matmul' hits no layer"):
        model(x)


@pytest.mark.parametrize("weights", [SPEC, None])
def test_a_layer_that_is_never_called_is_told_of_once(weights):
    model, x = models.make("read by parent")
    tqt.quantize_model(model, extrinsic={"qkv": SPEC}, weights=weights)
    with pytest.warns(tqt.IdleRuleWarning, match="layer 'qkv' was not called: its output is comp"):
        model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(x)
        tqt.quantize_model(model, weights=SPEC)(x)


def test_strip_gives_the_classes_back():
    model, x = models.make("encoder")
    before = {name: type(module) for name, module in model.named_modules()}
    fresh = copy.deepcopy(model).eval()
    tqt.quantize_model(model, weights=SPEC, extrinsic=SPEC)
    assert isinstance(model.encoder.layers[0].linear1, nn.Linear)
    assert model.encoder.layers[0].activation_relu_or_gelu == 0
    tqt.strip(model)
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert all("_tensorquant" not in vars(module) for module in model.modules())
    assert model.encoder.layers[0].activation_relu_or_gelu == 1
    assert hands.same_bits(model.eval()(x), fresh(x))


def test_the_class_keeps_name_signature_and_repr():
    model, _ = models.make("resnet")
    text = repr(model)
    tqt.quantize_model(model, weights=SPEC)
    assert repr(model) == text
    assert type(model.conv1).__qualname__ == "Conv2d"
    import inspect

    assert inspect.signature(model.forward) == inspect.signature(models.ResNet().forward)


def test_tied_weights_have_one_quantizer_and_one_stream():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x):
            return self.head(self.embed(x))

    model, x = Tied(), torch.tensor([0, 4])
    with pytest.raises(tq.Error, match=r"'head' \(Linear\): it shares its p.*'embed'"):
        tqt.quantize_model(model, weights={"=embed": SPEC, "=head": "nearest,6,3"})
    tqt.quantize_model(model, weights="stochastic,8,4", seed=3)
    stream = tq.stream_of("embed", "weight")
    weight = hands.quantized(model.embed.weight, "stochastic,8,4", seed=3, stream=stream)
    assert hands.same_bits(model(x), nn.functional.linear(weight[x], weight))


def test_a_quantizer_of_ones_own_in_operations_of_torch():
    class Halves(tqt.TensorQuantizer):
        def quantize(self, tensor):
            return tensor + ((tensor * 2).round() / 2 - tensor).detach()

    class Wrong(tqt.TensorQuantizer):
        def quantize(self, tensor):
            return tensor.double()

    layer, x = nn.Linear(3, 2), torch.randn(4, 3)
    wanted = copy.deepcopy(layer)(x)
    tqt.quantize_model(layer, extrinsic=Halves())
    assert torch.allclose(layer(x), (wanted * 2).round() / 2, atol=1e-6)
    tqt.quantize_model(layer, extrinsic=Wrong())
    with pytest.raises(tq.Error, match=r"layer '' \(Linear\): quantizer Wrong: quantize\(\) ret"):
        layer(x)


@pytest.mark.parametrize(
    ("layer", "shape", "weight", "output"),
    [
        (nn.Linear(4, 3), (5, 4), ((0,), (1,)), ((1,), (1,))),
        (nn.Conv2d(2, 3, 2), (1, 2, 4, 4), ((0,), (1,)), ((1,), (1,))),
        (nn.ConvTranspose1d(2, 3, 2), (1, 2, 4), ((1,), (0,)), ((1,), (1,))),
    ],
    ids=["linear", "conv", "transposed"],
)
def test_a_quantizer_of_ones_own_is_told_the_axes_where_it_asks(layer, shape, weight, output):
    class TellsAxes(tqt.TensorQuantizer):
        needs_layout = True

        def __init__(self):
            self.told = []

        def quantize(self, tensor, channel_axes, reduction_axes):
            self.told.append((channel_axes, reduction_axes))
            return tensor

    of_weight, of_output = TellsAxes(), TellsAxes()
    tqt.quantize_model(
        layer, weights={"": {"weight": of_weight, "bias": None}}, extrinsic=of_output
    )
    layer(torch.ones(shape))
    assert (of_weight.told, of_output.told) == ([weight], [output])


def test_a_class_that_cannot_be_derived_from_leaves_the_model_as_it_was():
    class Final(nn.Linear):
        def __init_subclass__(cls):
            raise TypeError("this class is final")

    model = nn.Sequential(nn.Linear(3, 3), Final(3, 2))
    with pytest.raises(TypeError, match="this class is final"):
        tqt.quantize_model(model, weights=SPEC)
    assert [type(layer) for layer in model] == [nn.Linear, Final]


def test_a_layer_that_was_replaced_is_told_of():
    model, x = models.make("resnet")
    tqt.quantize_model(model.eval(), weights=SPEC)
    model.bn1 = nn.BatchNorm2d(8)  # as SyncBatchNorm.convert_sync_batchnorm() does
    with pytest.warns(tqt.IdleRuleWarning, match="layer 'bn1' is no longer in the model") as caught:
        model(x)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(x)


@pytest.mark.parametrize("is_used", [False, True])
def test_batch_norms_that_were_converted_are_told_of_at_the_next_forward(is_used):
    model, x = models.make("resnet")
    tqt.quantize_model(model.eval(), weights=SPEC)
    for _ in range(2 * is_used):
        model(x)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    count = sum(isinstance(module, nn.SyncBatchNorm) for module in converted.modules())
    with pytest.warns(tqt.IdleRuleWarning, match="is no longer in the model") as caught:
        converted(x)
    assert len(caught) == count > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converted(x)
        tqt.quantize_model(converted, weights=SPEC)(x)


def test_a_forward_of_a_part_tells_nothing_of_the_rest():
    model, x = models.make("resnet")
    tqt.quantize_model(model, extrinsic={"add": SPEC})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.layer1[0].relu(x)
        model(x)


def test_a_scripted_part_that_no_rule_hits_stays_as_it_is():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    model, x = nn.Sequential(scripted, nn.Linear(4, 2)), torch.randn(3, 4)
    tqt.quantize_model(model, weights={"=1": SPEC}, extrinsic={"=1": SPEC, "add": None})
    by_hand = nn.functional.linear(
        scripted(x), *(hands.quantized(p, SPEC) for p in model[1].parameters())
    )
    assert hands.same_bits(model(x), hands.quantized(by_hand, SPEC))


@pytest.mark.parametrize("watched", [{}, {"mul": None}], ids=["layers", "operations"])
def test_an_output_that_nobody_else_holds_is_quantized_in_its_own_memory(watched):
    class Fresh(nn.Module):
        def forward(self, x):
            y = x + 1
            self.address = y.data_ptr()
            return y

    model, x = nn.Sequential(Fresh(), nn.Identity()), torch.randn(100)
    tqt.quantize_model(model, extrinsic={"=0": SPEC, **watched})
    with torch.no_grad():
        assert model(x).data_ptr() == model[0].address
