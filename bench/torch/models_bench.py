"""What 8-bit weights and outputs cost whole networks in PyTorch, beside other libraries that emulate them.

    python bench/torch/models_bench.py [--json] [--networks ...] [--turns N] [--threads N] [--microxcaling DIR]

Every parameter is quantized as even,8,6, the model's input and what its layers return as even,8,4. A training step is forward, backward and SGD.
The others are told the same numbers where they can be: torch.ao and Brevitas give the same bits, which is checked before the clock starts; QPyTorch
has another rounding of ties and microxcaling formats of its own, so they must lie on their grids. What each of them offers is a quantizer of a tensor:
parameters go through torch.nn.utils.parametrize, outputs through forward hooks.

All contenders take turns; a time is the least of the turns, of this process's threads together, which other work on the machine does not lengthen.
Libraries that are not installed are named and left out; microxcaling, which no registry has, is a checkout: https://github.com/microsoft/microxcaling.
"""

import argparse
import contextlib
import copy
import importlib
import json
import pathlib
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from networks import NETWORKS
from processor import processor_name

import tensorquant.torch as tqt
from tensorquant.ops.torch import quantize

WEIGHT_FRACTION, OUTPUT_FRACTION = 6, 4
WEIGHTS, OUTPUTS = f"even,8,{WEIGHT_FRACTION}", f"even,8,{OUTPUT_FRACTION}"
SLOW = 3  # the turns of what takes a multiple of the float network


class FixedPoint(torch.nn.Module):
    """torch.ao: FakeQuantize with a scale that is told."""

    def __init__(self, fraction):
        super().__init__()
        from torch.ao.quantization import FakeQuantize, MinMaxObserver

        self.fake = FakeQuantize(MinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8)
        self.fake.scale.fill_(2.0**-fraction)
        self.fake.disable_observer()

    def forward(self, x):
        return self.fake(x)


def brevitas(fraction):
    from brevitas.inject.enum import RestrictValueType, ScalingImplType
    from brevitas.nn import QuantIdentity
    from brevitas.quant import Int8ActPerTensorFloat

    class Told(Int8ActPerTensorFloat):
        scaling_impl_type = ScalingImplType.CONST
        restrict_scaling_type = RestrictValueType.FP
        scaling_init = 2.0 ** (7 - fraction)
        narrow_range = False

    return QuantIdentity(act_quant=Told, return_quant_tensor=False)


def qpytorch(fraction):
    from qtorch import FixedPoint as Format
    from qtorch.quant import Quantizer

    return Quantizer(forward_number=Format(8, fraction), forward_rounding="nearest")


def microxcaling(fraction):
    from mx.mx_ops import quantize_mx_op
    from mx.specs import MxSpecs

    specs = MxSpecs()
    specs.update({"block_size": 32, "scale_bits": 8, "custom_cuda": False})

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return quantize_mx_op(x, specs, elem_format="int8", axes=[-1], round="even")

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Blocks(nn.Module):
        def forward(self, x):
            return Straight.apply(x)

    return Blocks()


# By name: the module that has to be installed, what makes a quantizer, and whether its bits are ours.
RIVALS = {
    "torch.ao": ("torch.ao.quantization", FixedPoint, True),
    "Brevitas": ("brevitas", brevitas, True),
    "QPyTorch": ("qtorch", qpytorch, False),
    "microxcaling": ("mx", microxcaling, False),
}


def installed():
    """The names of the rivals that are."""
    names = []
    for name, (module, make, _) in RIVALS.items():
        try:
            importlib.import_module(module)
            make(4)(torch.ones(32))  # QPyTorch compiles its code now
            names.append(name)
        except Exception as error:  # noqa: BLE001  whatever an old library breaks on
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
    return names


def with_rival(model, make):
    """A copy of a model whose parameters, input and outputs go through a rival's quantizers."""
    model = copy.deepcopy(model)
    layers = [module for module in model.modules() if not list(module.children())]
    for module in list(model.modules()):
        for name, _ in list(module.named_parameters(recurse=False)):
            parametrize.register_parametrization(module, name, make(WEIGHT_FRACTION))
    for layer in layers:
        if not isinstance(layer, nn.Sequential):
            output = make(OUTPUT_FRACTION)
            layer.register_forward_hook(lambda module, args, y, output=output: output(y))
    given = make(OUTPUT_FRACTION)
    model.register_forward_pre_hook(
        lambda module, args: tuple(given(x) if x.is_floating_point() else x for x in args)
    )
    return model


class Contender:
    """A model that takes turns with others."""

    def __init__(self, name, model, x, labels, training):
        self.name = name
        self.times = []
        self._model = model.train(training)
        self._x, self._labels, self._training = x, labels, training
        self._optimizer = torch.optim.SGD(model.parameters(), 1e-4)

    def run(self):
        # Who reads a parameter twice in a forward, as GPT-2 does, has it quantized once.
        with parametrize.cached() if self.name in RIVALS else contextlib.nullcontext():
            if not self._training:
                with torch.no_grad():
                    return self._model(self._x)
            self._optimizer.zero_grad()
            y = self._model(self._x)
            F.cross_entropy(y.flatten(0, -2), self._labels).backward()
        self._optimizer.step()
        return y

    def take_turn(self):
        start = time.process_time()
        self.run()
        self.times.append(time.process_time() - start)


def check(contenders, exact):
    """Stops unless contenders that should give the same numbers do so, and others numbers that are no float network's."""
    results = {one.name: one.run().detach() for one in contenders}
    ours = results["TensorQuant"]
    if not torch.equal(results["float"], results["float again"]) or torch.equal(ours, results["float"]):
        sys.exit("models_bench.py: the float network differs from itself, or not from the quantized")
    for name in exact:
        if not torch.equal(results[name], ours):
            sys.exit(f"models_bench.py: {name} gives other numbers: {results[name]} {ours}")


def check_quantizers(names):
    x = torch.randn(2**16) * 4
    for name in names:
        _, make, is_exact = RIVALS[name]
        y, z = make(OUTPUT_FRACTION)(x), quantize(x, OUTPUTS if name != "microxcaling" else "mxint8")
        if is_exact or name == "microxcaling":
            good = torch.equal(y, z)
        else:
            good = bool(((y - z).abs() <= 2.0**-OUTPUT_FRACTION).all()) and torch.equal(quantize(y, OUTPUTS), y)
        if not good:
            sys.exit(f"models_bench.py: the quantizer of {name} gives other numbers")


def measure(network, training, turns, rivals):
    make, inputs = NETWORKS[network]
    torch.manual_seed(0)
    floats, (x, labels) = make(), inputs()
    models = {"float": floats, "float again": copy.deepcopy(floats), "TensorQuant": copy.deepcopy(floats)}
    tqt.quantize_model(models["TensorQuant"], weights=WEIGHTS, extrinsic=OUTPUTS)
    models |= {name: with_rival(floats, RIVALS[name][1]) for name in rivals}
    contenders = [Contender(name, model, x, labels, training) for name, model in models.items()]
    check(contenders, [name for name in rivals if RIVALS[name][2]])
    for turn in range(turns):
        for one in contenders if turn % 2 else contenders[::-1]:
            if one.name not in rivals or turn < SLOW:
                one.take_turn()
    least = {one.name: min(one.times) for one in contenders}
    return {
        "network": network,
        "work": "training step" if training else "inference",
        "float_ms": 1e3 * least["float"],
        **{name: time / least["float"] for name, time in least.items() if name != "float"},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rivals", nargs="*", default=None, choices=RIVALS)
    parser.add_argument("--microxcaling", metavar="DIR", help="its checkout")
    options = parser.parse_args()
    if options.turns < 1:
        parser.error("--turns: at least 1")
    if options.microxcaling:
        sys.path.insert(0, options.microxcaling)
    torch.set_num_threads(options.threads)
    rivals = [name for name in installed() if options.rivals is None or name in options.rivals]
    check_quantizers(rivals)
    rows = []
    if not options.json:
        print(f"Processor: {processor_name()}; PyTorch {torch.__version__}, {options.threads} threads\n")
        columns = ("float again", "TensorQuant", *rivals)
        print(f"{'network':13}{'work':15}{'float ms':>10}" + "".join(f"{name:>14}" for name in columns))
    for network in options.networks:
        for training in (False, True):
            row = measure(network, training, options.turns, rivals)
            rows.append(row)
            if not options.json:
                print(
                    f"{row['network']:13}{row['work']:15}{row['float_ms']:10.0f}"
                    + "".join(f"{row[name]:14.2f}" for name in columns),
                    flush=True,
                )
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
