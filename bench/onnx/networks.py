"""Float networks as ONNX files: ResNet-18 and MobileNetV2 with random weights, as PyTorch exports them without folding."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Network:
    """Nodes one behind the other, with their constants."""

    def __init__(self):
        self._rng = np.random.default_rng(0)
        self._nodes, self._constants = [], []

    def constant(self, values):
        """Adds one of float32; returns its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, operator, *inputs, **attributes):
        """Adds a node; returns the name of its output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def conv_and_norm(self, x, channels, made, size=3, stride=1, groups=1):
        """A convolution without bias, and its batch normalization."""
        inputs = channels // groups
        scale = np.sqrt(2 / (inputs * size * size))
        weight = self.constant(self._rng.standard_normal((made, inputs, size, size)) * scale)
        about = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [size // 2] * 4}
        y = self.node("Conv", x, weight, group=groups, **about)
        numbers = self._rng.uniform(0.5, 1.5, (4, made))
        numbers[1:3] -= 1
        return self.node("BatchNormalization", y, *(self.constant(row) for row in numbers))

    def classifier(self, x, channels, classes=1000):
        y = self.node("Flatten", self.node("GlobalAveragePool", x))
        weight = self.constant(self._rng.standard_normal((classes, channels)) / np.sqrt(channels))
        return self.node("Gemm", y, weight, self.constant(np.zeros(classes)), transB=1)

    def bytes_of(self, output):
        """The file, whose input is (n, 3, 224, 224)."""
        ports = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("image", ["n", 3, 224, 224]), (output, ["n", 1000]))
        ]
        graph = helper.make_graph(self._nodes, "net", ports[:1], ports[1:], self._constants)
        imports = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def resnet18():
    """K. He et al., "Deep Residual Learning for Image Recognition" (2016)."""
    net = Network()
    x = net.node("Relu", net.conv_and_norm("image", 3, 64, size=7, stride=2))
    x = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for made in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if block == 0 and made != 64 else 1
            y = net.node("Relu", net.conv_and_norm(x, channels, made, stride=stride))
            y = net.conv_and_norm(y, made, made)
            if stride == 2:
                x = net.conv_and_norm(x, channels, made, size=1, stride=2)
            x = net.node("Relu", net.node("Add", y, x))
            channels = made
    return net.bytes_of(net.classifier(x, 512))


def mobilenet_v2():
    """M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018)."""
    net = Network()
    low, high = net.constant(np.array(0)), net.constant(np.array(6))

    def clipped(*arguments, **named):
        return net.node("Clip", net.conv_and_norm(*arguments, **named), low, high)

    x, channels = clipped("image", 3, 32, stride=2), 32
    for times, made, blocks, first in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        for block in range(blocks):
            stride = first if block == 0 else 1
            inner = channels * times
            y = x if times == 1 else clipped(x, channels, inner, size=1)
            y = clipped(y, inner, inner, stride=stride, groups=inner)
            y = net.conv_and_norm(y, inner, made, size=1)
            x = net.node("Add", x, y) if stride == 1 and channels == made else y
            channels = made
    return net.bytes_of(net.classifier(clipped(x, 320, 1280, size=1), 1280))
