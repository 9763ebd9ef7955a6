"""Critics of the families for which transformers has no class of token classification: built as it builds the others."""

import transformers
from transformers.modeling_layers import GenericForTokenClassification


def add_missing():
    """From now on, AutoModelForTokenClassification knows them."""
    for prefix, text in (("Gemma3", "Text"), ("Olmo2", ""), ("Olmo3", "")):
        config = getattr(transformers, f"{prefix}{text}Config")
        bases = (GenericForTokenClassification, getattr(transformers, f"{prefix}PreTrainedModel"))
        critic = type(f"{prefix}{text}ForTokenClassification", bases, {"config_class": config})
        transformers.AutoModelForTokenClassification.register(config, critic, exist_ok=True)
