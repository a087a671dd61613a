"""Functions that are no layers: their names, what hits them, and what becomes of them."""

import warnings

import hands
import models
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tensorquant as tq
import tensorquant.torch as tqt

SPEC = "nearest,8,4"


def names(model, x):
    found = []
    with tqt.observe(model, lambda name, y: found.append(name)):
        model(x)
    return found


ATTENTION = ["matmul", "mul", "add", "softmax", "matmul_1"]
OPERATIONS = {
    "resnet": [f"layer{i}.{j}.add" for i in (1, 2) for j in (0, 1)],
    "language": [
        "add",
        *(
            name
            for i in (0, 1)
            for name in (
                *(f"blocks.{i}.attn.{operation}" for operation in ATTENTION),
                f"blocks.{i}.add",
                f"blocks.{i}.add_1",
            )
        ),
        "linear",
    ],
    "read by parent": ["linear"],
    "experts": ["softmax", "matmul", "mul", "mul_1", "add", "add_1"],
    "encoder": [f"encoder.layers.{i}.{name}" for i in (0, 1) for name in ("add", "relu", "add_1")],
    "decoder": [f"decoder.layers.0.{name}" for name in ("add", "add_1", "relu", "add_2")],
    "recurrent": [],
}


@pytest.mark.parametrize("name", models.MODELS)
def test_operations_have_these_names(name):
    model, x = models.make(name)
    layers = {row.layer for row in tqt.summary(model, print_fn=None)}
    found = names(model, x)
    assert [one for one in found if one not in layers] == OPERATIONS[name]
    assert names(model, x) == found
    before = hands.run(model, x)
    tqt.quantize_model(model, weights=SPEC, extrinsic={"re:.*": SPEC})
    assert names(model, x) == found  # nothing of the quantizers is among them
    assert hands.same_bits(hands.run(tqt.strip(model), x), before)


def test_all_forms_of_a_function_have_one_name():
    class Forms(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x):
            y = x.clone()
            y += x
            y.add_(x)
            torch.add(x, x, out=y)
            return x + 1 + (2 + x) + torch.add(x, x) + x.add(y)

    assert names(Forms(), torch.ones(2)) == ["add"] + [f"add_{n}" for n in range(1, 10)]


def test_products_of_experts_and_other_functions_that_compute_have_names():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)
            self.experts = nn.Parameter(torch.randn(2, 8, 8))

        def forward(self, x):
            x = F.normalize(F.softplus(self.layer(x)))
            x = F.elu(x, inplace=True).exp().sqrt()
            return F.grouped_mm(x, self.experts, offs=torch.tensor([1, 4], dtype=torch.int32)).mv(
                x[0]
            )

    model, x = Own(), torch.randn(4, 8)
    after = ["softplus", "normalize", "elu", "exp", "sqrt", "matmul", "matmul_1"]
    assert names(model, x) == ["layer", *after]
    wanted = hands.run(model, x)
    tqt.quantize_model(model, extrinsic={"=matmul_1": SPEC})
    assert hands.same_bits(hands.run(model, x), hands.quantized(wanted, SPEC))
    tqt.quantize_model(model, intrinsic={"=matmul": "nearest,12,6"})
    with pytest.raises(tq.Error, match=r"hits its operation '_?grouped_mm', which cannot be r"):
        model(x)


def residual(form):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return form(self.layer(x), x)

    return Residual()


def in_place(y, x):
    y += x
    return y


def method(y, x):
    y.add_(x)
    return y


def into(y, x):
    z = torch.empty_like(y)
    with torch.no_grad():
        torch.add(y, x, out=z)
    return z


@pytest.mark.parametrize("form", [torch.add, in_place, method, into])
def test_the_result_of_an_operation_is_quantized_wherever_it_goes(form):
    model, x = residual(form), torch.randn(3, 4)
    y = model.layer(x) + x
    tqt.quantize_model(model, extrinsic={"=add": SPEC})
    assert hands.same_bits(model(x), hands.quantized(y, SPEC))


@pytest.mark.parametrize("form", [torch.add, in_place, method])
def test_gradients_pass_straight_through_a_quantized_operation(form):
    model, x = residual(form), torch.randn(3, 4)
    wanted = hands.gradients(model, x)
    tqt.quantize_model(model, extrinsic={"=add": SPEC})
    assert hands.same_bits(hands.gradients(model, x), wanted)


def test_gradients_pass_a_quantized_activation_in_place():
    model, x = residual(lambda y, x: F.relu(y, inplace=True)), torch.randn(3, 4)
    wanted = hands.gradients(model, x)
    tqt.quantize_model(model, extrinsic={"=relu": "nearest,4,0"})
    assert hands.same_bits(hands.gradients(model, x), wanted)


@pytest.mark.parametrize(
    ("key", "is_hit"),
    [
        ("=blocks.0.attn.matmul", True),
        ("re:blocks\\.0\\..*matmul", True),
        ("matmul", True),
        ("attn.mat", True),
        ("op:matmul", True),
        ("op:mat", False),
        ("op:matmul_1", False),
        ("attn", False),
        ("blocks.0.attn.", False),
        ("", False),
    ],
)
def test_only_keys_that_name_an_operation_hit_it(key, is_hit):
    model, x = models.make("language")
    seen = {}
    tqt.quantize_model(model, extrinsic={key: "nearest,4,1"})
    with tqt.observe(model, seen.setdefault):
        model(x)
    y = seen["blocks.0.attn.matmul"]
    assert hands.same_bits(y, hands.quantized(y, "nearest,4,1")) == is_hit


def test_a_key_of_a_type_hits_every_layer_and_every_call_of_that_type():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.ReLU()

        def forward(self, x):
            return self.second(self.first(x) + x + x)

    model, x, seen = Two(), torch.randn(2, 4), {}
    for _ in range(2):  # the second time of layers that have quantizers
        tqt.quantize_model(model, {"op:Linear": SPEC}, {"op:add": SPEC, "op:ReLU": "nearest,4,1"})
    with tqt.observe(model, seen.setdefault), warnings.catch_warnings():
        warnings.simplefilter("error")
        model(x)
    for name, spec in (("add", SPEC), ("add_1", SPEC), ("second", "nearest,4,1")):
        assert hands.same_bits(seen[name], hands.quantized(seen[name], spec))
    assert not hands.same_bits(seen["first"], hands.quantized(seen["first"], SPEC))
    rows = {row.layer: row for row in tqt.summary(model, print_fn=None)}
    assert (rows["first"].weights, rows["second"].output) == (SPEC, "nearest,4,1")
    with pytest.warns(UserWarning, match="the types are 'Linear', 'ReLU'"):
        tqt.quantize_model(model, {"op:linear": SPEC})


def test_the_first_rule_wins_and_null_leaves_an_operation_alone():
    model, x = models.make("resnet")
    seen = {}
    rules = {"=layer1.0.add": None, "layer1.1.add": "nearest,6,2", "add": SPEC}
    tqt.quantize_model(model, extrinsic=rules)
    with tqt.observe(model, seen.setdefault):
        model(x)
    for name, spec in (("layer1.1.add", "nearest,6,2"), ("layer2.0.add", SPEC)):
        assert hands.same_bits(seen[name], hands.quantized(seen[name], spec))
    y = seen["layer1.0.add"]
    assert not hands.same_bits(y, hands.quantized(y, SPEC))


def test_random_operations_have_streams_of_their_names_and_a_step():
    model, x = residual(torch.add), torch.randn(3, 4)
    y = model.layer(x) + x
    tqt.quantize_model(model, extrinsic={"=add": "stochastic,8,4"}, seed=5)
    for step in range(3):
        wanted = hands.quantized(
            y, "stochastic,8,4", seed=5, stream=tq.stream_of("add", "output"), step=step
        )
        assert hands.same_bits(model(x), wanted)
    assert tqt.layer_steps(model) == {"operations": 3}


def test_rules_for_operations_are_idle_only_after_a_forward():
    model, x = models.make("resnet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tqt.quantize_model(model, extrinsic={"add": SPEC, "matmul": SPEC})
    with pytest.warns(
        tqt.IdleRuleWarning, match="rule 2: extrinsic key 'matmul' hits no layer"
    ) as w:
        model(x)
    assert len(w) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(x)
    with pytest.warns(tqt.IdleRuleWarning, match="key 'ad_d' hits no layer"):
        tqt.quantize_model(model, extrinsic={"ad_d": SPEC})


def test_an_example_tells_at_once_and_counts_no_step():
    model, x = models.make("resnet")
    rules = {"add": "stochastic,8,4", "matmul": SPEC}
    with pytest.warns(tqt.IdleRuleWarning, match="'matmul'") as caught:
        tqt.quantize_model(model, extrinsic=rules, example_inputs=(x,))
    assert caught[0].filename == __file__
    assert model.training and tqt.layer_steps(model) == {"operations": 0}
    tqt.quantize_model(model, weights=SPEC)
    before = tqt.summary(model, print_fn=None)
    with pytest.raises(tq.Error, match="'matmul' hits no layer"):
        tqt.quantize_model(model, extrinsic=rules, example_inputs=x, strict=True)
    with pytest.raises(RuntimeError):
        tqt.quantize_model(model, extrinsic=rules, example_inputs=x[:, :1])
    assert tqt.summary(model, print_fn=None) == before


def test_attention_in_one_function_is_told_of():
    class Fast(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            x = self.layer(x)
            return F.scaled_dot_product_attention(x, x, x)

    x = torch.randn(1, 3, 4)
    with pytest.warns(tqt.IdleRuleWarning, match="load the model with eager attention"):
        tqt.quantize_model(Fast(), extrinsic={"matmul": SPEC}, example_inputs=x)


def test_an_additive_mask_is_not_hit_by_a_rule_for_layers():
    model, tokens = models.make("language")
    tqt.quantize_model(model.eval(), weights="nearest,16,12", extrinsic="nearest,16,12")
    before = model(tokens)
    tokens[:, -1] = (tokens[:, -1] + 1) % 11
    assert hands.same_bits(model(tokens)[:, :-1], before[:, :-1])
    assert not hands.same_bits(model(tokens)[:, -1], before[:, -1])


def test_layers_inside_a_part_that_is_called_alone_are_observed_by_their_names():
    model, _ = models.make("resnet")
    tqt.quantize_model(model, weights=SPEC)
    found = []
    with tqt.observe(model, lambda name, x: found.append(name)):
        model.layer1[0](torch.randn(1, 8, 4, 4))
    assert found == [
        *(f"layer1.0.{name}" for name in ("conv1", "bn1", "relu", "conv2", "bn2", "add", "relu")),
    ]
    assert type(tqt.strip(model).conv1) is nn.Conv2d


INSIDE = {"product": "nearest,12,6", "accumulator": "nearest,14,6"}


def test_products_that_are_no_layers_can_be_rounded_inside():
    model, x = models.make("language")
    seen = {}
    with tqt.observe(model, seen.setdefault):
        model(x)
    tqt.quantize_model(model, intrinsic={"=blocks.0.attn.matmul": INSIDE, "=linear": INSIDE})
    found = {}
    with tqt.observe(model, found.setdefault):
        model(x)
    q, k, _ = (
        seen["blocks.0.attn.qkv"].view(2, 6, 3, 2, 4).permute(2, 0, 3, 1, 4).detach().unbind(0)
    )
    wanted = [
        tq.matmul(
            a.contiguous(), b.T.contiguous(), product="nearest,12,6", accumulator="nearest,14,6"
        )
        for a, b in zip(q.flatten(0, 1), k.flatten(0, 1))
    ]
    assert hands.same_bits(found["blocks.0.attn.matmul"].flatten(0, 1), torch.stack(wanted))
    y = tq.matmul(
        found["norm"].detach().flatten(0, 1),
        model.wte.weight.detach().T.contiguous(),
        product="nearest,12,6",
        accumulator="nearest,14,6",
    )
    assert hands.same_bits(found["linear"].flatten(0, 1), y)
    rows = tqt.summary(model, print_fn=None)[-2:]
    assert [(row.layer, row.intrinsic) for row in rows] == [
        ("blocks.0.attn.matmul", "{product:nearest,12,6,accumulator:nearest,14,6}"),
        ("linear", "{product:nearest,12,6,accumulator:nearest,14,6}"),
    ]


def test_gradients_of_a_rounded_operation_are_the_float_ones():
    model, x = residual(torch.matmul), torch.randn(4, 4)
    wanted = hands.gradients(model, x)
    tqt.quantize_model(model, intrinsic={"=matmul": {"product": "none", "accumulator": "none"}})
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(hands.gradients(model, x), wanted))


def test_a_random_product_has_streams_of_its_name_and_the_step_of_operations():
    spec = "stochastic,12,6"
    model, x = residual(torch.matmul), torch.randn(4, 4)
    y = model.layer(x).detach()
    tqt.quantize_model(model, intrinsic={"=matmul": spec}, seed=5)
    streams = {
        f"{part}_stream": tq.stream_of("matmul", part) for part in ("product", "accumulator")
    }
    for step in range(2):
        wanted = tq.matmul(y, x, product=spec, accumulator=spec, seed=5, step=step, **streams)
        assert hands.same_bits(model(x), wanted)
    assert tqt.layer_steps(model) == {"operations": 2}


def test_an_operation_that_cannot_be_rounded_is_an_error_of_the_call():
    model, x = residual(lambda y, x: F.interpolate(y[None], scale_factor=2)), torch.randn(3, 4)
    tqt.quantize_model(model, intrinsic={"interpolate": INSIDE})
    with pytest.raises(tq.Error, match=r"its operation 'interpolate', which cannot be rounded"):
        model(x)
    model, _ = models.make("language")
    with pytest.raises(tq.Error, match="ternary"):
        tqt.quantize_model(model, intrinsic={"matmul": "ternary"})


def test_an_addition_that_would_uncover_a_mask_is_told_of():
    model, x = models.make("language")
    with pytest.warns(tqt.IdleRuleWarning, match="'blocks.0.attn.add' adds numbers as a mask") as w:
        tqt.quantize_model(model, extrinsic={"add": "nearest,16,12"}, example_inputs=x)
    assert len(w) == 2  # one for each block, and none for the other additions
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rules = {"attn.add": None, "add": "nearest,16,12"}
        tqt.quantize_model(model, extrinsic=rules, example_inputs=x)
        tqt.quantize_model(model, extrinsic={"add": "bf16"}, example_inputs=x)


@pytest.mark.parametrize(
    "form", [torch.add, in_place, method, lambda y, x: y + x[0], lambda y, x: 1 + y]
)
@pytest.mark.parametrize("outer", [{}, {"outer": {"accumulator": "bf16", "every": 2}}])
def test_an_addition_is_rounded_once_by_the_last_accumulator(form, outer):
    model, x = residual(form), torch.randn(3, 4)
    with torch.no_grad():
        y = model.layer(x)
        exact = form(y.double(), x.double())
    gradients = hands.gradients(model, x)
    tqt.quantize_model(model, intrinsic={"=add": {**INSIDE, **outer}})
    last = outer["outer"]["accumulator"] if outer else "nearest,14,6"
    assert hands.same_bits(model(x), hands.quantized(exact, last).float())
    assert hands.same_bits(hands.gradients(model, x), gradients)


def test_an_addition_with_a_factor_rounds_the_product_too():
    form = lambda y, x: torch.add(y, x, alpha=0.3)
    model, x = residual(form), torch.randn(3, 4)
    with torch.no_grad():
        y = model.layer(x)
    factor = x.double() * torch.tensor(0.3).double()  # the scalar is a number of the tensor's type
    product = hands.quantized(factor, "nearest,12,6")
    tqt.quantize_model(model, intrinsic={"=add": INSIDE})
    assert hands.same_bits(model(x), hands.quantized(y.double() + product, "nearest,14,6").float())
