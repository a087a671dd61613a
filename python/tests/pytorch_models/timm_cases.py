"""Models of timm, small, with an input each."""

import timm
import torch


def _case(name, size=32, **settings):
    return (
        lambda: timm.create_model(name, num_classes=5, **settings),
        lambda: {"x": torch.randn(2, 3, size, size)},
    )


_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
_SWIN = {"img_size": 32, "embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4}

CASES = {
    "vit": _case("vit_tiny_patch16_224", **_VIT),
    "deit": _case("deit_tiny_distilled_patch16_224", **_VIT),
    "beit": _case("beit_base_patch16_224", **_VIT),
    "eva": _case("eva02_tiny_patch14_224", **_VIT),
    "cait": _case("cait_xxs24_224", **_VIT),
    "xcit": _case("xcit_nano_12_p16_224", **_VIT | {"patch_size": 16}),
    "swin": _case("swin_tiny_patch4_window7_224", **_SWIN),
    "swin_v2": _case("swinv2_tiny_window8_256", **_SWIN),
    "convnext": _case("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
    "convnext_v2": _case("convnextv2_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
    "efficientnet": _case("efficientnet_lite0"),
    "mobilenet_v3": _case("mobilenetv3_small_050"),
    "resnet": _case("resnet18", layers=(1, 1, 1, 1), channels=(8, 16, 16, 16)),
    "resnetv2": _case("resnetv2_50", layers=(1, 1, 1, 1), channels=(16, 32, 32, 32)),
    "regnet": _case("regnetz_005"),
    "levit": _case("levit_128s", size=224),
    "nfnet": _case("nf_resnet26"),
    "maxvit": _case("maxvit_rmlp_pico_rw_256", img_size=64, size=64),
    "ghostnet": _case("ghostnet_050"),
}
