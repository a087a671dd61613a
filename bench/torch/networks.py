"""ResNet-18, ViT-small and GPT-2 small, written out: what a benchmark measures depends on no library of models."""

import torch
from torch import nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    """As in torchvision: He et al., "Deep residual learning for image recognition", 2016."""

    def __init__(self, classes=1000):
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, 1)
        sizes = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
        self.stages = nn.Sequential(
            *(
                nn.Sequential(BasicBlock(inputs, n, stride), BasicBlock(n, n, 1))
                for inputs, n, stride in sizes
            )
        )
        self.average = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.stages(self.pool(self.relu(self.bn(self.conv(x)))))
        return self.fc(self.average(x).flatten(1))


class Attention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*parts, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads, gelu, causal):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU(gelu)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(self.gelu(self.up(self.norm2(x))))


class ViTSmall(nn.Module):
    """Patches of 16 x 16 of an image of 224 x 224: Touvron et al., "DeiT", 2021."""

    def __init__(self, classes=1000, width=384, heads=6, depth=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, 197, width) * 0.02)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, heads, "none", False) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class GPT2Small(nn.Module):
    """124 million parameters; those of the words serve twice: Radford et al., 2019."""

    def __init__(self, words=50257, length=1024, width=768, heads=12, depth=12):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, heads, "tanh", True) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        return F.linear(self.norm(self.blocks(x)), self.words.weight)


def images(batch):
    return torch.randn(batch, 3, 224, 224), torch.randint(1000, (batch,))


def tokens(batch, length=128):
    text = torch.randint(50257, (batch, length + 1))
    return text[:, :-1].contiguous(), text[:, 1:].reshape(-1)


# What makes each, and an input with its labels.
NETWORKS = {
    "ResNet-18": (ResNet18, lambda: images(32)),
    "ViT-small": (ViTSmall, lambda: images(8)),
    "GPT-2 small": (GPT2Small, lambda: tokens(1)),
}
