"""Models of diffusers, small, with inputs each."""

import diffusers
import torch


def _sample(channels=3, size=8):
    return torch.randn(2, channels, size, size)


CASES = {
    "unet": (
        lambda: diffusers.UNet2DModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            attention_head_dim=4,
        ),
        lambda: {"sample": _sample(), "timestep": torch.tensor([3, 700])},
    ),
    "unet_condition": (
        lambda: diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=12,
        ),
        lambda: {
            "sample": _sample(4),
            "timestep": torch.tensor([3, 700]),
            "encoder_hidden_states": torch.randn(2, 5, 12),
        },
    ),
    "autoencoder": (
        lambda: diffusers.AutoencoderKL(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
        ),
        lambda: {"sample": _sample()},
    ),
    "dit": (
        lambda: diffusers.DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=4,
            in_channels=4,
            num_layers=2,
            sample_size=8,
            norm_num_groups=4,
            num_embeds_ada_norm=10,
        ),
        lambda: {
            "hidden_states": _sample(4),
            "timestep": torch.tensor([3, 700]),
            "class_labels": torch.tensor([1, 2]),
        },
    ),
}
