"""Stands in for vLLM: an engine that gives the responses it was made with, one after another."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import cycle
from types import SimpleNamespace
from typing import Any

__version__ = "0.29.0"


@dataclass
class SamplingParams:
    max_tokens: int | None = None
    min_tokens: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    skip_special_tokens: bool = False
    logprobs: int | None = None


@dataclass
class AsyncEngineArgs:
    responses: list[list[int]]
    distributed_executor_backend: str


class AsyncLLMEngine:
    def __init__(self, responses: list[list[int]]) -> None:
        self.responses = cycle(responses)
        self.output_processor = SimpleNamespace(get_num_unfinished_requests=lambda: 0)

    @classmethod
    def from_engine_args(cls, args: AsyncEngineArgs) -> "AsyncLLMEngine":
        return cls(args.responses)

    async def is_sleeping(self) -> bool:
        return False

    async def generate(self, prompt: Any, params: Any, request_id: str) -> AsyncIterator[SimpleNamespace]:
        completion = SimpleNamespace(token_ids=next(self.responses), text="", finish_reason="stop", logprobs=None)
        yield SimpleNamespace(outputs=[completion])
