"""The examples in the documents and in the folder of examples run."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tensorquant.torch as tqt
from tensorquant.torch import operations

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}  # the tensors are small


def run(*arguments, cwd):
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_examples_of_the_page_run():
    page = ROOT / "docs" / "pytorch.md"
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 8 and result.failed == 0


def test_the_page_lists_the_functions_that_have_names():
    text = (ROOT / "docs" / "pytorch.md").read_text()
    (part,) = re.findall(
        r"^`x \+ y`, `x \+= y`.*?^Functions inside a layer", text, re.DOTALL | re.MULTILINE
    )
    told = {word.replace(".", "_") for word in re.findall(r"`([\w.]+)`", part)}
    told |= {"scaled_dot_product_attention", "matmul"}
    forms = {"subtract", "multiply", "divide", "true_divide", "rsub"}  # of operators
    in_words = re.compile(r"conv(_transpose)?[123]d|(adaptive_)?avg_pool[123]d|_.*")
    functions = {*operations.NAMES, *operations.FUNCTIONS}
    assert {name for name in functions - forms if not in_words.fullmatch(name)} <= told


@pytest.mark.parametrize("name", tqt.__all__)
def test_everything_public_is_documented_and_its_examples_run(name):
    thing = getattr(tqt, name)
    assert thing.__doc__.strip()
    if thing.__module__.startswith("tensorquant.torch"):
        for test in doctest.DocTestFinder().find(thing, name, globs={}):
            assert doctest.DocTestRunner().run(test).failed == 0


def test_the_readmes_first_example_runs_without_keras_and_prints_two_accuracies(tmp_path):
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    program = blocks[0]
    assert "tensorquant.torch" in program
    others = "import sys; sys.modules.update(dict.fromkeys(('keras', 'tensorflow', 'jax')))\n"
    said = run("-c", others + program, cwd=tmp_path)
    found = re.fullmatch(r"float: (\S+)\nquantized: (\S+)\n", said)
    assert found and all(0.8 < float(accuracy) < 1 for accuracy in found.groups())


needs_images = pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").exists(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)


def example(name, cwd):
    said = run(ROOT / "examples" / "pytorch" / name, "--quick", cwd=cwd)
    assert not list(cwd.iterdir())
    return said


@needs_images
def test_the_example_of_fine_tuning_runs_and_says_what_it_should(tmp_path):
    said = example("finetune.py", tmp_path)
    assert "quantized and fine-tuned" in said
    assert re.search(r"^blocks\.1\.add +operation .* nearest,8,4 ", said, re.MULTILINE)


@needs_images
def test_the_example_of_a_resnet_has_an_accuracy_for_each_format(tmp_path):
    lines = example("resnet.py", tmp_path).splitlines()
    found = {line[:30].strip(): float(line[30:]) for line in lines}
    assert len(found) == 9 and "4 bits, calibrated" in found
    assert abs(found["8 bits, scales found"] - found["float32"]) < 0.1


@needs_images
def test_the_example_of_a_vit_quantizes_attention_and_parameters_without_a_layer(tmp_path):
    said = example("vit.py", tmp_path)
    assert "quantized and fine-tuned" in said
    assert re.search(r"^cls_token +Parameter +nearest,8,6 +- +- ", said, re.MULTILINE)
    assert re.search(
        r"^blocks\.1\.attn\.matmul_1 +operation .* int,4,scale=max ", said, re.MULTILINE
    )


@needs_images
def test_the_example_of_ones_own_parts_saves_and_loads_them(tmp_path):
    said = example("own_parts.py", tmp_path)
    assert "loaded model gives the same bits: True" in said
    assert re.search(r"^normalize_1 +operation .* float,4,3 ", said, re.MULTILINE)


def test_the_example_of_perplexities_is_a_table_of_formats(tmp_path):
    first, *rows = (line.split() for line in example("perplexity.py", tmp_path).splitlines())
    assert first == ["weights", "+", "outputs", "+", "attention"]
    found = {name: [float(number) for number in numbers] for name, *numbers in rows}
    assert list(found) == ["float32", "bf16", "float,4,3"]
    assert 2 < found["float32"][0] < 60  # of 128 letters
    assert all(abs(number - found["float32"][0]) < 0.1 for number in found["bf16"])
