"""Small networks of the kinds that people quantize."""

import torch
from torch import nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """As torchvision's."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(2)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Attention(nn.Module):
    """Self-attention without a layer for its products, causal and with an additive mask."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5
        mask = torch.full((length, length), torch.finfo(x.dtype).min, dtype=x.dtype).triu(1)
        weights = (scores + mask).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Language(nn.Module):
    """A decoder as GPT-2 is one: positions that no layer owns, and a head tied by a function."""

    def __init__(self, tokens=11, width=8):
        super().__init__()
        self.wte = nn.Embedding(tokens, width)
        self.pos_embed = nn.Parameter(torch.randn(1, 16, width))
        self.blocks = nn.ModuleList(Block(width, 2) for _ in range(2))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.wte(tokens) + self.pos_embed[:, : tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.wte.weight)


class ReadByParent(nn.Module):
    """As Swin: the weights of a layer are read by the module around it, which never calls it."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(4, 6)

    def forward(self, x):
        return F.linear(x, self.qkv.weight, self.qkv.bias)


class Experts(nn.Module):
    """As a mixture of experts: parameters of a container, alone, in a list and in a dictionary."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 2)
        self.up = nn.Parameter(torch.randn(2, 4, 4))
        self.scales = nn.ParameterList([torch.randn(4), torch.randn(4)])
        self.shift = nn.ParameterDict({"bias": torch.randn(4)})

    def forward(self, x):
        weights = self.gate(x).softmax(-1)
        y = torch.einsum("ne,eij,nj->ni", weights, self.up, x)
        return y * self.scales[0] + x * self.scales[1] + self.shift["bias"]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[0, -1] = True
        return self.encoder(x, src_key_padding_mask=padding)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 1)

    def forward(self, x):
        return self.decoder(x, x.flip(0))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
        self.gru = nn.GRU(4, 3)
        self.cell = nn.LSTMCell(3, 3)

    def forward(self, x):
        x, _ = self.gru(self.lstm(x)[0])
        return self.cell(x[0])[0]


def _tokens(*shape):
    return torch.randint(11, shape)


MODELS = {
    "resnet": (ResNet, lambda: torch.randn(2, 3, 8, 8)),
    "language": (Language, lambda: _tokens(2, 6)),
    "read by parent": (ReadByParent, lambda: torch.randn(2, 3, 4)),
    "experts": (Experts, lambda: torch.randn(3, 4)),
    "encoder": (Encoder, lambda: torch.randn(2, 5, 8)),
    "decoder": (Decoder, lambda: torch.randn(5, 2, 8)),
    "recurrent": (Recurrent, lambda: torch.randn(5, 2, 3)),
}


def leave_the_grid(model):
    """Gives a model parameters that lie on no grid."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)


def make(name):
    """A model in training with such parameters, and an input for it."""
    model, inputs = MODELS[name]
    model = model()
    leave_the_grid(model)
    return model, inputs()
