"""Hugging Face's config.json without transformers. Adding a model type is a config of its keys, and a line here."""

from __future__ import annotations

from isostate.costs.huggingface.deepseek import DeepseekV2, DeepseekV3
from isostate.costs.huggingface.encoders import Bert, Clip, ViT
from isostate.costs.huggingface.gemma import Gemma, Gemma2, Gemma3, Gemma3Text
from isostate.costs.huggingface.gpt import GPT2, OPT, Bloom, OpenAIGPT
from isostate.costs.huggingface.keys import HuggingFaceConfig
from isostate.costs.huggingface.llama import Llama, Mistral, Mixtral
from isostate.costs.huggingface.parallel import Falcon, GPTNeoX, Phi
from isostate.costs.huggingface.qwen import Qwen2, Qwen2Moe, Qwen3, Qwen3Moe
from isostate.costs.huggingface.recurrent import Mamba2File, MambaFile, RWKVFile

MODEL_TYPES: dict[str, type[HuggingFaceConfig]] = {
    "bert": Bert,
    "bloom": Bloom,
    "clip": Clip,
    "deepseek_v2": DeepseekV2,
    "deepseek_v3": DeepseekV3,
    "falcon": Falcon,
    "gemma": Gemma,
    "gemma2": Gemma2,
    "gemma3": Gemma3,
    "gemma3_text": Gemma3Text,
    "gpt2": GPT2,
    "gpt_neox": GPTNeoX,
    "llama": Llama,
    "mamba": MambaFile,
    "mamba2": Mamba2File,
    "mistral": Mistral,
    "mixtral": Mixtral,
    "openai-gpt": OpenAIGPT,
    "opt": OPT,
    "phi": Phi,
    "qwen2": Qwen2,
    "qwen2_moe": Qwen2Moe,
    "qwen3": Qwen3,
    "qwen3_moe": Qwen3Moe,
    "rwkv": RWKVFile,
    "vit": ViT,
}

__all__ = ["MODEL_TYPES", "HuggingFaceConfig"]
