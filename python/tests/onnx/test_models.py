"""The developers' models, whose outputs ONNX Runtime has computed; and the command line on them."""

import pathlib
import subprocess
import warnings

import numpy as np
import pytest
from files import arrays_of, assert_same_bits, shared_model

import tensorquant as tq
import tensorquant.onnx as tqo

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "build" / "release" / "bin" / "tensorquant"
NAMES = [
    *("ppocr_cls", "random_bert_legacy", "random_k_attn_tf2onnx", "random_llama_dynamo"),
    *("random_lstm_legacy", "random_unet_legacy", "resnet20_dynamo", "resnet20_legacy"),
    *("resnet20_legacy_bn", "resnet20_qdq_int8", "resnet20_qop_int8", "spindle_eeg"),
]


def load(name):
    folder = shared_model(name)
    model = tqo.load(folder / "model.onnx")
    return model, dict(zip([p.name for p in model.inputs], arrays_of(folder, "input"))), folder


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_the_stored_ones(name):
    model, inputs, folder = load(name)
    for found, expected in zip(
        model.run(inputs).values(), arrays_of(folder, "output"), strict=True
    ):
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_in_pieces_computes_what_it_does_whole(name):
    model, inputs, _ = load(name)
    whole = model.run(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tqo.IdleRuleWarning)  # of a model of integers
        tqo.quantize_model(model, weights="none", extrinsic="none")
    for output, array in model.run(inputs).items():
        assert_same_bits(array, whole[output])


def test_resnet20_has_the_bits_of_the_command_line(tmp_path):
    if not PROGRAM.exists():
        pytest.skip("needs the program of scripts/test.sh cpp")
    inside = {"product": "nearest,16,10", "accumulator": "nearest,24,10"}
    override = tq.Override(
        weights="nearest,8,6",
        extrinsic="nearest,8,4",
        intrinsic={"conv": inside, "linear": inside, "Add": {"accumulator": "stochastic,12,3"}},
        seed=3,
    )
    maps = tmp_path / "maps.json"
    maps.write_text(override.to_json())
    model, inputs, folder = load("resnet20_legacy")
    tqo.quantize_model(model, maps=override)
    (name, x), (y,) = *inputs.items(), model.run(inputs).values()
    command = [
        PROGRAM,
        "evaluate",
        "--model",
        folder / "model.onnx",
        "--input",
        f"{name}={folder}/input_0.npy",
    ]
    command += ["--maps", maps, "--seed", "3", "--save-outputs", tmp_path / "out"]
    subprocess.run(command, check=True, capture_output=True)
    assert x.shape[0] > 0
    assert_same_bits(y, np.load(tmp_path / "out" / "output_0.npy"))
