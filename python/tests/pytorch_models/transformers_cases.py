"""Models of transformers, small, with inputs each."""

import torch
import transformers as hf

VOCABULARY = 50
_WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_TEXT = {"vocab_size": VOCABULARY, "max_position_embeddings": 32}
_ENCODER = {**_WIDTH, **_TEXT, "intermediate_size": 24}
_DECODER = {**_ENCODER, "num_key_value_heads": 1, "use_cache": False, "pad_token_id": 0}
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "head_dim": 8}


def tokens(batch=2, length=7):
    return torch.randint(3, VOCABULARY, (batch, length))


def _text():
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[0, 5:] = 0  # padding
    return {"input_ids": tokens(), "attention_mask": mask}


def _image(size=32):
    return lambda: {"pixel_values": torch.randn(2, 3, size, size)}


def _case(config, model, inputs, **settings):
    return lambda: getattr(hf, model)(getattr(hf, config)(**settings)), inputs


def _encoder(name, **more):
    return _case(f"{name}Config", f"{name}ForSequenceClassification", _text, **_ENCODER, **more)


def _decoder(name, **more):
    return _case(f"{name}Config", f"{name}ForCausalLM", _text, **{**_DECODER, **more})


def _speech():
    return {"input_features": torch.randn(2, 8, 20), "decoder_input_ids": tokens(length=5)}


def _both(length=5):
    return {"input_ids": tokens(), "decoder_input_ids": tokens(length=length)}


def _frozen_features(*case, **settings):
    make, inputs = _case(*case, **settings)

    def frozen():
        model = make()
        model.freeze_feature_encoder()
        return model

    return frozen, inputs


_CLIP = {"text_config": {**_ENCODER}, "vision_config": {**_WIDTH, "intermediate_size": 24}}
_CLIP["vision_config"] |= {"image_size": 16, "patch_size": 8}
_CLIP["text_config"] |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

CASES = {
    "bert": _encoder("Bert"),
    "roberta": _encoder("Roberta"),
    "electra": _encoder("Electra", embedding_size=8),
    "albert": _encoder("Albert", embedding_size=8),
    "deberta": _encoder(
        "DebertaV2", relative_attention=True, pos_att_type=["p2c", "c2p"], pad_token_id=0
    ),
    "modernbert": _encoder("ModernBert", pad_token_id=0, cls_token_id=1, sep_token_id=2),
    "distilbert": _case(
        "DistilBertConfig",
        "DistilBertForSequenceClassification",
        _text,
        **_TEXT,
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=24,
    ),
    "gpt2": _case(
        "GPT2Config",
        "GPT2LMHeadModel",
        _text,
        vocab_size=VOCABULARY,
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=2,
        use_cache=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    ),
    "opt": _decoder("OPT", ffn_dim=24, word_embed_proj_dim=16, pad_token_id=1),
    "bloom": _case(
        "BloomConfig",
        "BloomForCausalLM",
        _text,
        vocab_size=VOCABULARY,
        hidden_size=16,
        n_layer=2,
        n_head=2,
        use_cache=False,
    ),
    "gpt_neox": _decoder("GPTNeoX"),
    "phi": _decoder("Phi"),
    "llama": _decoder("Llama"),
    "mistral": _decoder("Mistral"),
    "gemma2": _decoder("Gemma2", head_dim=8),
    "qwen2": _decoder("Qwen2"),
    "qwen3_moe": _decoder("Qwen3Moe", **_MOE),
    "mixtral": _decoder("Mixtral", num_local_experts=4, num_experts_per_tok=2),
    "falcon": _decoder("Falcon"),
    "mamba": _case(
        "MambaConfig",
        "MambaForCausalLM",
        _text,
        vocab_size=VOCABULARY,
        hidden_size=16,
        state_size=4,
        num_hidden_layers=2,
        use_cache=False,
    ),
    "t5": _case(
        "T5Config",
        "T5ForConditionalGeneration",
        _both,
        decoder_start_token_id=0,
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_heads=2,
        use_cache=False,
    ),
    "bart": _case(
        "BartConfig",
        "BartForConditionalGeneration",
        _both,
        **_TEXT,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        use_cache=False,
    ),
    "whisper": _case(
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        _speech,
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        num_mel_bins=8,
        max_source_positions=10,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        use_cache=False,
    ),
    "wav2vec2": _frozen_features(
        "Wav2Vec2Config",
        "Wav2Vec2ForCTC",
        lambda: {"input_values": torch.randn(2, 200)},
        **_WIDTH,
        vocab_size=VOCABULARY,
        intermediate_size=24,
        conv_dim=(8, 8),
        conv_stride=(5, 2),
        conv_kernel=(10, 3),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        mask_time_prob=0.0,
        num_feat_extract_layers=2,
    ),
    "vit": _case(
        "ViTConfig",
        "ViTForImageClassification",
        _image(),
        **_WIDTH,
        intermediate_size=24,
        image_size=32,
        patch_size=8,
    ),
    "swin": _case(
        "SwinConfig",
        "SwinForImageClassification",
        _image(),
        image_size=32,
        patch_size=2,
        embed_dim=8,
        depths=[2, 2],
        num_heads=[2, 2],
        window_size=4,
    ),
    "convnext": _case(
        "ConvNextConfig",
        "ConvNextForImageClassification",
        _image(),
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
    ),
    "segformer": _case(
        "SegformerConfig",
        "SegformerForSemanticSegmentation",
        _image(),
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 2],
        decoder_hidden_size=16,
    ),
    "clip": _case(
        "CLIPConfig",
        "CLIPModel",
        lambda: {**_text(), **_image(16)()},
        **_CLIP,
        projection_dim=8,
    ),
}
