"""Our own folders in transformers: import this module, and `AutoModelForCausalLM.from_pretrained(folder)` loads them.

    from isostate.export.transformers import register
    register()

No code comes from the folder (`trust_remote_code` stays off): the model is Isostate's own decoder. `generate` reads
the whole text again for every token; Isostate's own generation carries the state. Needs the extra `[hf]`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from isostate.export.native import ARCHITECTURE, MODEL_TYPE
from isostate.model import Decoder, ModelConfig


class IsostateConfig(PreTrainedConfig):
    """`model` is a `ModelConfig`'s table. No subclass of our `Config`: transformers fills it key by key."""

    model_type = MODEL_TYPE

    def __init__(self, model: dict[str, Any] | None = None, **options: Any) -> None:
        self.model = model
        if model is not None:
            shared = {"vocab_size": model["vocab_size"], "hidden_size": model["d_model"]}
            options = {**shared, "num_hidden_layers": model["n_layers"], **options}
            options["tie_word_embeddings"] = False  # a tied head of ours is one parameter, with nothing to tie
        super().__init__(**options)


class IsostateForCausalLM(PreTrainedModel, GenerationMixin):
    """`Decoder` behind the interface of transformers."""

    config_class = IsostateConfig
    base_model_prefix = "decoder"

    def __init__(self, config: IsostateConfig) -> None:
        super().__init__(config)
        self.decoder = Decoder(ModelConfig.parse(config.model or {}, "config.json, model"))
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        """The decoder starts itself."""

    def get_input_embeddings(self) -> Any:
        return self.decoder.embedding

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **options: Any,
    ) -> CausalLMOutput:
        """Logits, and the mean loss of each next token where there are labels (-100: none). Raises ValueError for
        padding in front: positions would count it."""
        if attention_mask is not None:
            seen = attention_mask.bool()
            if (seen[:, 1:] & ~seen[:, :-1]).any():
                raise ValueError("attention_mask: padding in front of the text; pad behind it (padding_side='right')")
        logits_BTU, _ = self.decoder(input_ids)
        loss = None
        if labels is not None:
            loss = cross_entropy(logits_BTU[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutput(loss=loss, logits=logits_BTU)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **options: Any
    ) -> dict[str, Any]:
        """The whole text; no cache."""
        return {"input_ids": input_ids, "attention_mask": attention_mask}


assert IsostateForCausalLM.__name__ == ARCHITECTURE


def register() -> None:
    """Tells transformers' Auto classes of the model type; again is no mistake."""
    AutoConfig.register(MODEL_TYPE, IsostateConfig, exist_ok=True)
    AutoModelForCausalLM.register(IsostateConfig, IsostateForCausalLM, exist_ok=True)
