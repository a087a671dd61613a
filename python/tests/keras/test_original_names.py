"""Every name of the original is in docs/from_tensorquant_1.md, and in the package if that says so."""

import inspect
import operator
import pathlib
import re

import pytest

from tensorquant import original

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "from_tensorquant_1.md"

# What the modules of the original's folder Quantize define, and the parameters (-: not callable).
NAMES = {
    "Quantizers.Quantizer_if": "",
    "Quantizers.Quantizer_if.quantize": "self, tensor",
    "Quantizers.FixedPointQuantizer_zero": "fixed_size, fixed_prec",
    "Quantizers.FixedPointQuantizer_zero.C_quantize": "self, tensor",
    "Quantizers.FixedPointQuantizer_down": "fixed_size, fixed_prec",
    "Quantizers.FixedPointQuantizer_down.C_quantize": "self, tensor",
    "Quantizers.FixedPointQuantizer_nearest": "fixed_size, fixed_prec",
    "Quantizers.FixedPointQuantizer_nearest.C_quantize": "self, tensor",
    "Quantizers.FixedPointQuantizer_stochastic": "fixed_size, fixed_prec",
    "Quantizers.FixedPointQuantizer_stochastic.C_quantize": "self, tensor",
    "Quantizers.LogarithmicQuantizer": "",
    "Quantizers.LogarithmicQuantizer.P_quantize": "self, tensor",
    "Quantizers.SparseQuantizer": "threshold",
    "Quantizers.SparseQuantizer.C_quantize": "self, tensor",
    "Quantizers.HalffpQuantizer": "",
    "Quantizers.HalffpQuantizer.C_quantize": "self, tensor",
    "Quantizers.BinaryQuantizer": "marginal",
    "Quantizers.BinaryQuantizer.C_quantize": "self, tensor",
    "Quantizers.TernaryQuantizer": "marginal, auto_threshold=True, threshold=0.5",
    "Quantizers.TernaryQuantizer.C_quantize": "self, tensor",
    "Quantizers.NoQuantizer": "",
    "FixedPoint.round_zero": "input1, fixed_size, fixed_prec",
    "FixedPoint.round_down": "input1, fixed_size, fixed_prec",
    "FixedPoint.round_nearest": "input1, fixed_size, fixed_prec",
    "FixedPoint.round_stochastic": "input1, fixed_size, fixed_prec",
    "FixedPoint.toFixed": "fp_number, fixed_size, fixed_prec",
    "FixedPoint.fixTensor": "tensor, session, fixed_size, fixed_prec",
    "FixedPoint.FixedPointOp": "tensor, fixed_size, fixed_prec",
    "FixedPoint.ZERO_ROUND": "-",
    "FixedPoint.round_module_zero": "-",
    "FixedPoint.round_module_down": "-",
    "FixedPoint.round_module_nearest": "-",
    "FixedPoint.round_module_stochastic": "-",
    "QuantKernelWrapper.quant_log": "input1",
    "QuantKernelWrapper.quant_sparse": "input1, threshold",
    "QuantKernelWrapper.quant_halffp": "input1",
    "QuantKernelWrapper.quant_binary": "input1, marginal",
    "QuantKernelWrapper.quant_ternary": "input1, marginal, auto_threshold=True, threshold=0.5",
    "QuantKernelWrapper.quant_module_log": "-",
    "QuantKernelWrapper.quant_module_sparse": "-",
    "QuantKernelWrapper.quant_module_halffp": "-",
    "QuantKernelWrapper.quant_module_binary": "-",
    "QuantKernelWrapper.quant_module_ternary": "-",
    "QLayer.create_qLayer": (
        "layer, intr_quantizer=None, extr_quantizer=None, weight_quantizer=None, name=None"
    ),
    "utils.quantizer_selector": "selector_str, arg_list",
    "utils.split_quantizer_str": "quantizer_str",
    "utils.get_quantizer": "q_str",
    "utils.quantizer_map": "qmap",
    "override.intr_q_map": "-",
    "override.extr_q_map": "-",
    "override.weight_q_map": "-",
    "override.keras_conv2d": "-",
    "override.keras_conv2d_override": "-",
    "override.keras_conv1d": "-",
    "override.keras_conv1d_override": "-",
    "override.keras_dense": "-",
    "override.keras_dense_override": "-",
    "override.keras_maxpool2d": "-",
    "override.keras_maxpool2d_override": "-",
    "override.keras_maxpool1d": "-",
    "override.keras_maxpool1d_override": "-",
    "override_functions.generic_keras_override": "Class",
}
LACKING = "not here"  # how the page's second column begins where the package has no such name


def _page():
    """The second column of the table of names, by the names in the first."""
    rows = re.findall(r"^\| (`[^|]*`) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: text for names, text in rows for name in re.findall(r"`([\w.]+)`", names)}


def _exists(name):
    try:
        operator.attrgetter(name)(original)
    except AttributeError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_on_the_page_and_exists_unless_that_says_otherwise(name):
    page = _page()
    told = name if name in page else name.rpartition(".")[0]  # methods are told with their class
    assert _exists(name) != page[told].startswith(LACKING)


def test_the_page_tells_no_other_names_of_these_modules():
    assert {name for name in _page() if name.partition(".")[0] in dir(original)} <= set(NAMES)


@pytest.mark.parametrize("name", [n for n in NAMES if NAMES[n] != "-" and _exists(n)])
def test_a_name_has_the_original_s_parameters(name):
    parameters = inspect.signature(operator.attrgetter(name)(original)).parameters.values()
    found = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    assert ", ".join(map(str, found)) == NAMES[name]
