"""UltraRM (Llama) and Eurus-RM (Mistral): a regression head on the last token."""

from __future__ import annotations

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

HUMAN = (
    "{{ bos_token }}{% for m in messages %}{{ 'Assistant: ' if m['role'] == 'assistant' else 'Human: ' }}{{ m['content'] }}"
    "{{ '' if loop.last else '\n\n' }}{% endfor %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }}{{ eos_token }}"
    "{% else %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)


HEAD = "regression_head"


def _has_head(weights: Weights) -> bool:
    return f"{HEAD}.weight" in weights


def _is_llama(config: Config) -> bool:
    return config.get("model_type") == "llama"


ULTRA = Family(
    title="UltraRM",
    source="openbmb/UltraRM-13b: model card, LlamaRewardModel (as in allenai/reward-bench: rewardbench/models/openbmb.py)",
    about="A linear head without bias, read at the last token the mask shows; the card's text is 'Human: …', a blank line, 'Assistant: …'.",
    text="Human: …, a blank line, Assistant: …, with BOS and no EOS: model card (ultrarm_template; its examples have one line break)",
    recognises=lambda config, weights: _has_head(weights) and _is_llama(config),
    head=lambda config, weights: linear(weights, HEAD),
    template=HUMAN,
)

EURUS = Family(
    title="Eurus-RM",
    source="openbmb/Eurus-RM-7b: modeling_eurus_rm.py, EurusRewardModel",
    about="A linear head without bias on a Mistral trunk, read at the last token the mask shows; the text is '[INST] … [/INST] …'.",
    text="[INST] … [/INST] …</s> with BOS, the template of Mistral-Instruct-v0.2: model card (whose examples leave </s> out)",
    recognises=lambda config, weights: _has_head(weights) and not _is_llama(config),
    head=lambda config, weights: linear(weights, HEAD),
    template=INST,
)
