"""Those who train models: transformers' Trainer, Lightning, PEFT, accelerate, gradient scaling."""

import copy

import cases
import hands
import pytest
import torch
from cases import library
from torch import nn
from torch.nn import functional as F

import tensorquant.torch as tqt

MAPS = {"weights": "nearest,8,6", "extrinsic": "nearest,14,6"}
RANDOM = {"weights": "stochastic,8,6", "extrinsic": {"": "stochastic,14,6", "add": "nearest,14,6"}}


def gpt2():
    library("transformers")
    model, _ = cases.make("transformers gpt2")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def texts():
    tokens = torch.randint(3, 50, (8, 6))
    return [{"input_ids": row, "labels": row} for row in tokens]


def same_parameters(model, other):
    return hands.same_bits(list(model.parameters()), list(other.parameters()))


def trainer(model, data, folder, **settings):
    hf = library("transformers")
    library("accelerate")
    defaults = {"per_device_train_batch_size": 2, "max_steps": 4, "learning_rate": 0.01}
    arguments = hf.TrainingArguments(
        output_dir=str(folder),
        **{**defaults, **settings},
        save_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        seed=1,
    )
    return hf.Trainer(model=model, args=arguments, train_dataset=data)


@pytest.mark.parametrize("maps", [MAPS, RANDOM], ids=["nearest", "random"])
def test_the_trainer_trains_with_and_without_checkpointing_to_the_same_bits(maps, tmp_path):
    data, floats = texts(), gpt2()
    models = [tqt.quantize_model(copy.deepcopy(floats), **maps) for _ in range(2)]
    for number, model in enumerate(models):
        settings = {"gradient_checkpointing": True} if number else {}
        trainer(model, data, tmp_path / str(number), **settings).train()
    assert same_parameters(*models)
    assert not same_parameters(models[0], floats)
    assert tqt.layer_steps(models[0]) == tqt.layer_steps(models[1])
    assert set(tqt.layer_steps(models[0]).values()) <= {4}


def test_the_trainer_resumes_to_the_bits_of_one_run(tmp_path):
    data, floats = texts(), gpt2()
    once, twice = (tqt.quantize_model(copy.deepcopy(floats), **MAPS) for _ in range(2))
    trainer(once, data, tmp_path / "once").train()
    trainer(twice, data, tmp_path / "once").train(
        resume_from_checkpoint=str(tmp_path / "once" / "checkpoint-2")
    )
    assert same_parameters(once, twice)


def test_a_random_run_resumes_to_the_same_bits_with_its_steps(tmp_path):
    data, floats = texts(), gpt2()
    once, twice = (tqt.quantize_model(copy.deepcopy(floats), **RANDOM) for _ in range(2))
    trainer(once, data, tmp_path).train()
    tqt.set_layer_steps(twice, dict.fromkeys(tqt.layer_steps(twice), 2))
    trainer(twice, data, tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert same_parameters(once, twice)
    assert tqt.layer_steps(once) == tqt.layer_steps(twice)


def test_what_save_pretrained_writes_is_the_float_model(tmp_path):
    model = gpt2()
    keys = set(model.state_dict())
    tqt.quantize_model(model, **MAPS).save_pretrained(tmp_path)
    found = type(tqt.strip(copy.deepcopy(model))).from_pretrained(tmp_path)
    assert set(found.state_dict()) == keys
    assert same_parameters(found, model)
    tokens = texts()[0]["input_ids"][None]
    found = tqt.quantize_model(found.eval(), **MAPS)
    assert hands.same_bits(found(tokens).logits, model.eval()(tokens).logits)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return self.body(x)


def numbers():
    return torch.utils.data.TensorDataset(torch.randn(12, 4), torch.randint(3, (12,)))


def fitted_by_hand(model, data, epochs):
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(epochs):
        for x, y in torch.utils.data.DataLoader(data, 4):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


def lightning_module(model):
    lightning = library("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def configure_model(self):
            tqt.quantize_model(self.model, **RANDOM)

        def training_step(self, batch, index):
            x, y = batch
            return F.cross_entropy(self.model(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)

        def on_save_checkpoint(self, checkpoint):
            checkpoint["layer_steps"] = tqt.layer_steps(self.model)

        def on_load_checkpoint(self, checkpoint):
            tqt.set_layer_steps(self.model, checkpoint["layer_steps"])

    return Module()


def fit(module, data, epochs, **options):
    library("lightning").Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, torch.utils.data.DataLoader(data, 4), **options)


@pytest.mark.filterwarnings("ignore:.*rule .* hits no layer")
@pytest.mark.filterwarnings("ignore:.*num_workers")
def test_lightning_fits_and_resumes_random_rounding_to_the_bits_of_a_loop_by_hand(tmp_path):
    lightning = library("lightning")
    data, floats = numbers(), Classifier()
    by_hand = tqt.quantize_model(copy.deepcopy(floats), **RANDOM)
    fitted_by_hand(by_hand, data, 4)

    first = lightning_module(copy.deepcopy(floats))
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(first, torch.utils.data.DataLoader(data, 4))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    second = lightning_module(copy.deepcopy(floats))
    fit(second, data, 4, ckpt_path=tmp_path / "half.ckpt", weights_only=False)
    assert same_parameters(second.model, by_hand)
    assert tqt.layer_steps(second.model) == tqt.layer_steps(by_hand)


@pytest.mark.parametrize("first", ["adapted", "quantized"])
def test_adapters_learn_around_quantized_weights(first):
    peft = library("peft")
    library("transformers")
    model, inputs = cases.make("transformers llama")
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, lora_alpha=4)
    if first == "adapted":
        model = peft.get_peft_model(model, config)
        tqt.quantize_model(model, weights={"lora": None, "": "nearest,8,6"})
    else:
        tqt.quantize_model(model, weights="nearest,8,6")
        model = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora" in name:
                parameter.copy_(torch.randn_like(parameter))
    wanted = tqt.strip(copy.deepcopy(model))
    with torch.no_grad():
        for name, parameter in wanted.named_parameters():
            if "lora" not in name:
                parameter.copy_(hands.quantized(parameter, "nearest,8,6"))
    assert hands.same_bits(hands.gradients(model, **inputs), hands.gradients(wanted, **inputs))
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in model.named_parameters() if "lora" in name
    }
    state = peft.get_peft_model_state_dict(model)
    assert state and all("lora" in key for key in state)
    merged = tqt.strip(model).merge_and_unload()
    assert type(merged.model.layers[0].self_attn.q_proj) is nn.Linear


def test_accelerate_trains_to_the_bits_of_a_loop_by_hand(tmp_path):
    accelerate = library("accelerate")
    data, floats = numbers(), Classifier()
    maps = {**RANDOM, "extrinsic": "stochastic,14,6"}
    by_hand = fitted_by_hand(tqt.quantize_model(copy.deepcopy(floats), **maps), data, 2)

    accelerator = accelerate.Accelerator(cpu=True)
    model = tqt.quantize_model(copy.deepcopy(floats), **maps)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loader = torch.utils.data.DataLoader(data, 4)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            accelerator.backward(F.cross_entropy(model(x), y))
            optimizer.step()
    accelerator.save_state(str(tmp_path))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    accelerator.load_state(str(tmp_path))
    assert same_parameters(accelerator.unwrap_model(model), by_hand)
    assert tqt.layer_steps(model) == tqt.layer_steps(by_hand)


def test_scaled_losses_give_the_gradients_of_unscaled_ones():
    model, data = tqt.quantize_model(Classifier(), **MAPS), numbers()
    other = copy.deepcopy(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for x, y in torch.utils.data.DataLoader(data, 4):
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()
    assert same_parameters(model, fitted_by_hand(other, data, 1))
