"""Models of torchvision, small, with an input each."""

import torch
import torchvision
from torchvision.models import convnext, densenet, efficientnet, resnet, swin_transformer


def _images(size=32, batch=2):
    return lambda: {"x": torch.randn(batch, 3, size, size)}


def _efficientnet():
    blocks = [
        efficientnet.MBConvConfig(1, 3, 1, 8, 8, 1),
        efficientnet.MBConvConfig(4, 5, 2, 8, 16, 2),
        efficientnet.FusedMBConvConfig(2, 3, 1, 16, 16, 1),
    ]
    return efficientnet.EfficientNet(blocks, 0.2, 0.2, num_classes=5)


def _swin(block, merging):
    return swin_transformer.SwinTransformer(
        patch_size=[2, 2],
        embed_dim=8,
        depths=[2, 2],
        num_heads=[2, 2],
        window_size=[4, 4],
        num_classes=5,
        block=block,
        downsample_layer=merging,
    )


def _convnext():
    blocks = [convnext.CNBlockConfig(8, 16, 1), convnext.CNBlockConfig(16, None, 2)]
    return convnext.ConvNeXt(blocks, 0.1, num_classes=5)


_of = torchvision.models

CASES = {
    "resnet": (lambda: resnet.ResNet(resnet.BasicBlock, [2, 1, 1, 1], 5), _images()),
    "resnext": (
        lambda: resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], 5, groups=4, width_per_group=4),
        _images(),
    ),
    "mobilenet_v2": (lambda: _of.mobilenet_v2(num_classes=5, width_mult=0.25), _images()),
    "mobilenet_v3": (lambda: _of.mobilenet_v3_small(num_classes=5), _images()),
    "mnasnet": (lambda: _of.mnasnet0_5(num_classes=5), _images()),
    "efficientnet": (_efficientnet, _images()),
    "vit": (lambda: _of.VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=5), _images(16)),
    "swin": (
        lambda: _swin(swin_transformer.SwinTransformerBlock, swin_transformer.PatchMerging),
        _images(16),
    ),
    "swin_v2": (
        lambda: _swin(swin_transformer.SwinTransformerBlockV2, swin_transformer.PatchMergingV2),
        _images(16),
    ),
    "maxvit": (
        lambda: _of.MaxVit((32, 32), 8, 4, [8, 16], [1, 1], 8, 0.1, num_classes=5),
        _images(),
    ),
    "convnext": (_convnext, _images()),
    "regnet_x": (lambda: _of.regnet_x_400mf(num_classes=5), _images()),
    "regnet_y": (lambda: _of.regnet_y_400mf(num_classes=5), _images()),
    "densenet": (lambda: densenet.DenseNet(4, (2, 2), 8, num_classes=5), _images()),
    "inception": (
        lambda: _of.inception_v3(num_classes=5, init_weights=False, aux_logits=False),
        _images(75),
    ),
    "googlenet": (lambda: _of.googlenet(num_classes=5, init_weights=False), _images()),
    "shufflenet": (lambda: _of.shufflenet_v2_x0_5(num_classes=5), _images()),
    "squeezenet": (lambda: _of.squeezenet1_1(num_classes=5), _images()),
    "lraspp": (
        lambda: _of.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None, num_classes=5),
        lambda: {"input": torch.randn(2, 3, 32, 32)},
    ),
}
