"""What an adapter says of its family of reward models, and the module that all of them become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from redviz.errors import RedvizError
from redviz.models.loading.weights import Weights

NOT_RUN = "built from the description, never run on the published weights"

Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Described:
    """What people are told of a way to build and read a model.

    Attributes
    ----------
    title
        For people, such as "OpenRLHF".
    source
        The published code that is followed: repository and file.
    about
        One sentence: where the score is read, and what is special.
    text
        In which text it was trained and is served, with which added tokens, and who says so: training code or model card, by file.
    curve
        How prefix scores are had, for the table of families.
    verified
        What was verified, and how.
    """

    title: str
    source: str
    about: str
    text: str
    curve: str = "one pass"
    verified: str = NOT_RUN


@dataclass(frozen=True, kw_only=True)
class Family(Described):
    """How one family of published reward models is recognised, built and read.

    Attributes
    ----------
    recognises
        Whether a checkpoint is of this family, from its ``config.json`` and the names of its weights.
    head
        The head in float32, from the checkpoint's own tensors.
    kinds
        Values of ``model_type`` that are the family's own.
    trunk_type
        The ``model_type`` that the trunk has in Transformers, where the config's is another one.
    trunk
        Builds the trunk's state dict ``{name: tensor}`` for that type, where names or shapes are the family's own.
    beside
        Patterns of names of tensors that its authors save with it, and that its score is not made of.
    template
        A chat template (Jinja), for tokenizers that come without one; written from the published format.
    ending
        Makes of the chat template one that ends the text as the trainer did, whichever template that is.
    appended
        The id of a token that is put behind everything, where the score is read; None for none.
    lower_is_better
        Whether the model gives a cost; redviz then shows its negative, so that higher is better everywhere.
    labels
        Names of the head's outputs.
    pooling
        Which hidden state the head reads: "last", "mean" (of all up to there), or what else config.json says, which is refused.
    gate, header
        Of several objectives that the prompt weighs (:class:`redviz.models.kinds.reward_model.RewardModel`).
    mixed
        Whether the head's first output is the model's own score, made of the others at the same hidden state.
    open_means
        What the score of an open prefix is: "" where the head was trained on any last token of a response, else one sentence.
    """

    recognises: Callable[[Config, Weights], bool]
    head: Callable[[Config, Weights], nn.Module]
    kinds: tuple[str, ...] = ()
    trunk_type: str = ""
    trunk: Callable[[Config, Weights], dict[str, Tensor]] | None = None
    beside: tuple[str, ...] = ()
    template: str = ""
    ending: Callable[[str], str] = lambda template: template
    appended: Callable[[Config], int | None] = lambda config: None
    lower_is_better: Callable[[Config], bool] = lambda config: False
    labels: Callable[[Config], tuple[str, ...]] = lambda config: ("score",)
    pooling: Callable[[Config], str] = lambda config: "last"
    gate: Callable[[Config, Weights], nn.Module] | None = None
    header: Callable[[Config], tuple[int, ...]] = lambda config: ()
    mixed: bool = False
    open_means: str = ""


def gate_column(ids: Sequence[int], pattern: Sequence[int], name: str) -> int:
    """Where a gate reads: the first column of the last header of the assistant before the response.

    >>> gate_column([1, 7, 8, 2, 7, 8, 3], [7, 8], "m")
    4

    Raises
    ------
    RedvizError
        Where the template writes no such header.
    """
    size = len(pattern)
    for at in range(len(ids) - size, -1, -1):
        if tuple(ids[at : at + size]) == tuple(pattern):
            return at
    raise RedvizError(
        f"{name}'s gate reads the header that its template writes before the response, and this text has none; "
        "use the tokenizer that belongs to the model, or choose one objective with --head."
    )


class RewardModule(nn.Module):
    """A trunk of Transformers and a head of our own, with the little of a ``PreTrainedModel`` that redviz uses.

    Its forward reads as the families' own do: at the last token that the attention mask shows, or the mean of all that it shows. With
    a gate, its logits are every objective's share of the score.
    """

    def __init__(
        self,
        trunk: Any,
        head: nn.Module,
        labels: tuple[str, ...],
        gate: nn.Module | None = None,
        header: tuple[int, ...] = (),
        pooled: bool = False,
    ) -> None:
        super().__init__()
        self.gate, self.header, self.pooled = gate, header, pooled
        self.base_model, self.score = trunk, head
        self.config = trunk.config
        self.config.num_labels = len(labels)
        self.config.id2label = dict(enumerate(labels))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool = False,
    ) -> SimpleNamespace:
        """Scores ``[B, K]`` as ``logits``."""
        hidden = self.base_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
        ).last_hidden_state.float()  # [B, L, D]
        mask = hidden.new_ones(hidden.shape[:2]) if attention_mask is None else attention_mask.to(hidden)  # [B, L]
        last = mask.cumsum(1).argmax(1)  # [B], the last token that the mask shows
        rows = torch.arange(len(hidden), device=hidden.device)
        read = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True) if self.pooled else hidden[rows, last]
        logits = self.score(read)  # [B, K]
        if self.gate is not None and input_ids is not None:
            columns = [gate_column(ids, self.header, "this model") for ids in input_ids.tolist()]
            logits = logits * self.gate(hidden[rows, torch.tensor(columns, device=hidden.device)])
        return SimpleNamespace(logits=logits)

    def join_trunk(self) -> None:
        """Move the head and the gate to where the trunk's hidden states come out."""
        device = list(self.base_model.parameters())[-1].device
        for part in (self.score, self.gate):
            if part is not None:
                part.to(device)

    @property
    def _supports_sdpa(self) -> bool:
        return bool(self.base_model._supports_sdpa)

    def set_attn_implementation(self, name: str) -> None:
        self.base_model.set_attn_implementation(name)

    def get_input_embeddings(self) -> nn.Module:
        layer: nn.Module = self.base_model.get_input_embeddings()
        return layer
