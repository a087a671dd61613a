"""Language models: caches, padding, and that no token sees a later one."""

import warnings

import cases
import hands
import pytest
import torch
import transformers_cases

import tensorquant.torch as tqt

MAPS = {"weights": "nearest,8,6", "extrinsic": "nearest,16,8"}
DECODERS = (
    *("gpt2", "opt", "bloom", "gpt_neox", "phi", "llama", "mistral", "gemma2", "qwen2", "falcon"),
    *("qwen3_moe", "mixtral", "mamba"),
)


def of(*names):
    return cases.some(*(f"transformers {name}" for name in names))


@pytest.mark.parametrize("name", of("gpt2", "llama", "qwen2", "mixtral", "mamba", "t5", "whisper"))
def test_what_is_generated_with_a_cache_is_what_is_generated_without(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), **MAPS)
    first = next(iter(inputs))
    found = [
        model.generate(
            inputs[first],
            max_new_tokens=6,
            do_sample=False,
            use_cache=use_cache,
            return_dict_in_generate=True,
            output_logits=True,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(found[0].sequences, found[1].sequences)
    assert hands.same_bits(found[0].logits, found[1].logits)


@pytest.mark.parametrize("attention", ["eager", "sdpa", None])
@pytest.mark.parametrize("name", of(*DECODERS))
def test_a_later_token_never_changes_an_earlier_logit(name, attention):
    model, _ = cases.make(name)
    if attention is not None:
        if not getattr(model, f"_supports_{attention}", attention == "eager"):
            pytest.skip(f"it has no attention called {attention}")
        model.set_attn_implementation(attention)
    tqt.quantize_model(model.eval(), **MAPS)
    tokens = transformers_cases.tokens()
    with torch.no_grad():
        before = model(tokens).logits
        for place in (-1, 3):
            tokens[:, place] = (tokens[:, place] + 1) % transformers_cases.VOCABULARY
            after = model(tokens).logits
            assert hands.same_bits(before[:, :place], after[:, :place])
            assert not hands.same_bits(before[:, place], after[:, place])
            before = after


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", of("bert", "roberta", "electra", "distilbert", "gpt2", "llama"))
def test_what_padding_holds_changes_nothing(name, attention):
    model, inputs = cases.make(name)
    model.set_attn_implementation(attention)
    tqt.quantize_model(model.eval(), **MAPS)
    with torch.no_grad():
        before = model(**inputs).logits
        inputs["input_ids"][0, 5:] = 4
        after = model(**inputs).logits
    real = (slice(None),) if before.dim() == 2 else (slice(0, 1), slice(0, 5))
    assert hands.same_bits(before[real], after[real])


@pytest.mark.parametrize("name", of("gpt2", "llama", "bert", "t5"))
def test_a_rule_that_saturates_an_additive_mask_is_told_of(name):
    model, inputs = cases.make(name)
    model.set_attn_implementation("eager")
    rules = {"add": "nearest,16,12"}
    tqt.quantize_model(model.eval(), extrinsic=rules)
    with torch.no_grad(), pytest.warns(tqt.IdleRuleWarning, match="adds numbers as a mask has the"):
        model(**inputs)
    masks = {"re:.*(attn|attention|SelfAttention|EncDecAttention).*add.*": None}
    tqt.quantize_model(model, extrinsic={**masks, **rules})
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        model(**inputs)


@pytest.mark.parametrize("name", of("gpt2", "llama", "bert", "vit"))
def test_a_rule_for_products_says_how_to_load_a_model_whose_attention_is_one_function(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), extrinsic={"matmul": "bf16"})
    with pytest.warns(tqt.IdleRuleWarning, match="sdpa: load the model with eager attention"):
        model(**inputs)
    model.set_attn_implementation("eager")
    tqt.quantize_model(model, extrinsic={"matmul": "bf16", "softmax": "bf16"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(**inputs)
