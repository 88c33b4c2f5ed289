"""A policy in training: an iterator of steps that a screen or a terminal drives, and whose state can be kept."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from copy import copy, deepcopy
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from redviz.errors import Cancelled, RedvizError
from redviz.lab import forms, rollouts
from redviz.lab.config import CLIPPED, LabConfig
from redviz.lab.gradients import GradientMean, policy_loss
from redviz.lab.requests import HELD_OUT
from redviz.lab.steps import Evaluation, Sample, Step
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.policy import Policy, load_policy
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.load import load_reward_model
from redviz.models.running.attention import FAST

REQUEST_DRAW, TOKEN_DRAW, CREDIT_DRAW, EVALUATION_DRAW = range(4)  # random streams of one step
EVALUATION_SEED = 20260101


class Lab:
    """One run of policy-gradient training.

    Every random draw comes from the seed and the number of the step alone, so runs that differ in method only draw from the same
    requests with the same random numbers, and a run that goes on from a kept state is the run that was never interrupted.

    Parameters
    ----------
    config
        What to run.
    policy, reward_model
        Loaded models, where they are at hand; they are not changed: the policy in training is a copy, the one given is the reference.

    Examples
    --------
    >>> config = LabConfig(method="red", batch=4, group=2, micro_batches=2, max_new_tokens=4, steps=2, device="cpu")
    >>> lab = Lab(config)
    >>> [step.step for step in lab.run()]
    [1, 2]
    >>> lab.close()
    """

    def __init__(
        self,
        config: LabConfig,
        *,
        policy: Policy | None = None,
        reward_model: RewardModel | FunctionModel | None = None,
    ) -> None:
        self.config = config
        self.reference = policy or load_policy(config.policy, device=config.device, dtype="float32")
        self.reward_model = reward_model or load_reward_model(config.reward_model, device=config.device)
        self.policy = copy(self.reference)
        self.policy.module = deepcopy(self.reference.module).float().requires_grad_(True)
        if self.policy.module.config._attn_implementation == FAST:
            self.policy.module.set_attn_implementation("sdpa")  # no rows of attention are read from it
        self.weights: list[nn.Parameter] = list(self.policy.module.parameters())
        self.optimizer = torch.optim.Adam(self.weights, lr=config.learning_rate)
        self.baseline = forms.RunningBaseline.empty(config.max_new_tokens)
        self.critic: nn.Linear | None = None
        if config.algorithm == "ppo":
            self.critic = nn.Linear(self.weights_width, 1).to(self.policy.device)
            nn.init.zeros_(self.critic.weight)  # V = 0 at first: no credit is assigned by how the critic begins
            nn.init.zeros_(self.critic.bias)
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.critic_learning_rate)
        self.done = 0
        self._stopped, self._going = Event(), Event()
        self._going.set()
        self._waited = 0.0

    @property
    def weights_width(self) -> int:
        """The width of the policy's hidden states."""
        return int(self.policy.module.get_output_embeddings().weight.shape[1])

    # ------------------------------------------------------------ the run

    def run(self) -> Iterator[Step]:
        """Yield the steps that are left, one after the other; ends early after :meth:`stop`."""
        while self.done < self.config.steps and not self._stopped.is_set():
            try:
                step = self._step(self.done + 1)
            except Cancelled:
                return
            self.done = step.step
            yield step

    def pause(self) -> None:
        """Wait at the next gap between parts of a step, until :meth:`resume` or :meth:`stop`; any thread may call it."""
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def stop(self) -> None:
        """End the run at the next gap; a step that has begun to change the policy is finished first. Any thread may call it."""
        self._stopped.set()
        self._going.set()

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def close(self) -> None:
        """Let go of the models and the optimizer; the lab is of no more use."""
        self.stop()
        for name in ("policy", "reference", "reward_model", "optimizer", "critic_optimizer", "critic", "weights"):
            self.__dict__.pop(name, None)
        gc.collect()  # modules hold cycles

    def _breathe(self, may_stop: bool = True) -> None:
        """A gap between two parts: wait while paused, leave once stopped."""
        # Unless paused no lock is touched: a KeyboardInterrupt inside wait() would leave it taken, and close() hang.
        if self.paused:
            since = time.perf_counter()
            self._going.wait()
            self._waited += time.perf_counter() - since
        if may_stop and self._stopped.is_set():
            raise Cancelled("The lab run was stopped.")

    def _step(self, number: int) -> Step:
        config = self.config
        began, self._waited = time.perf_counter(), 0.0
        self._breathe()
        drawn = self._random(number, REQUEST_DRAW).integers(len(config.prompts), size=config.batch // config.group)
        prompts = [config.prompts[i] for i in drawn for _ in range(config.group)]
        rollout = self.draw(prompts, self._generator(number, TOKEN_DRAW))
        self._breathe()
        scored = rollouts.score(config, self.reward_model, self.policy, rollout, self._random(number, CREDIT_DRAW))
        self._breathe()
        mask = rollout.mask.cpu().numpy().astype(np.float64)  # [B, T]
        made = forms.advantages(config, scored.rewards, mask, self._baseline(mask.shape[1]), self._values(rollout))
        first, value_loss = self._learn(rollout, made)
        self._take_in(made.returns, mask)
        tokens = mask.sum()
        return Step(
            number,
            float(scored.scores.mean()),
            float(rollout.kl.sum() / len(mask)),
            float(tokens / len(mask)),
            float(rollout.ended.float().mean()),
            float(rollout.entropy.sum() / tokens),
            first.norm,
            first.variance,
            value_loss,
            time.perf_counter() - began - self._waited,
        )

    def draw(self, prompts: list[str], generator: torch.Generator) -> rollouts.Rollout:
        """One response to each request from the policy as it stands."""
        return rollouts.draw(self.policy, self.reference, prompts, self.config.max_new_tokens, generator)

    def _learn(self, rollout: rollouts.Rollout, made: forms.Advantages) -> tuple[GradientMean, float | None]:
        """All passes over one batch; the first pass's gradient and the critic's loss in it."""
        config = self.config
        device = self.policy.device
        advantages = torch.as_tensor(made.advantages, dtype=torch.float32, device=device)  # [B, T]
        targets = None if made.targets is None else torch.as_tensor(made.targets, dtype=torch.float32, device=device)
        first, first_loss = GradientMean(), None
        size = config.batch // config.micro_batches
        for epoch in range(config.epochs):
            gradient, losses = GradientMean(), []
            for row in range(0, config.batch, size):
                self._breathe(may_stop=epoch == 0)
                part = slice(row, row + size)
                log_probs, states = self._log_probs(rollout, part)
                clip = config.clip if config.algorithm in CLIPPED else None
                mask = rollout.mask[part].float()
                loss = policy_loss(
                    log_probs, rollout.log_probs[part], advantages[part], mask, config.max_new_tokens, clip
                )
                gradient.add(torch.autograd.grad(loss, self.weights))
                if self.critic is not None and targets is not None:
                    losses.append(self._criticise(states.detach(), targets[part], mask))
            gradient.hand_to(self.weights, config.max_gradient_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.critic is not None:
                self.critic_optimizer.step()
                self.critic_optimizer.zero_grad()
            if epoch == 0:
                first, first_loss = gradient, (float(np.mean(losses)) if losses else None)
        return first, first_loss

    def _log_probs(self, rollout: rollouts.Rollout, part: slice) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the drawn tokens ``[b, T]`` with their gradient, and the states before them ``[b, T, D]``."""
        ids, attention, mask = rollout.rows(part)
        every, states = rollouts.log_probs(self.policy, ids, attention, mask.shape[1])  # [b, T, V]
        return every.gather(2, ids[:, -mask.shape[1] :, None])[..., 0], states

    def _criticise(self, states: Tensor, targets: Tensor, mask: Tensor) -> float:
        """The critic's squared error on some rows; its gradient is added up."""
        assert self.critic is not None
        values = self.critic(states)[..., 0]  # [b, T]
        loss = 0.5 * ((values - targets).square() * mask).sum() / mask.sum() / self.config.micro_batches
        loss.backward()
        return float(loss.detach()) * self.config.micro_batches

    @torch.no_grad()
    def _values(self, rollout: rollouts.Rollout) -> Any:
        """V(s_t) before each token, ``[B, T]`` float64; None without a critic."""
        if self.critic is None:
            return None
        return self.critic(rollout.states)[..., 0].double().cpu().numpy()

    def _baseline(self, length: int) -> forms.RunningBaseline:
        """The running baseline of as many positions as this step's longest response has."""
        return forms.RunningBaseline(self.baseline.sums[:length], self.baseline.weights[:length])

    def _take_in(self, made: Any, mask: Any) -> None:
        room = ((0, 0), (0, self.config.max_new_tokens - mask.shape[1]))
        self.baseline.update(np.pad(made, room), np.pad(mask, room))

    # ------------------------------------------------------------ how good it is

    def evaluate(self, repeats: int = 8) -> Evaluation:
        """Responses to the held-out requests, ``repeats`` to each, drawn with a seed that is the same for every run."""
        prompts = [prompt for prompt in HELD_OUT for _ in range(repeats)]
        rollout = self.draw(prompts, self._generator(0, EVALUATION_DRAW, EVALUATION_SEED))
        scores = rollouts.score(
            LabConfig(method="sparse", kl_coef=0.0), self.reward_model, self.policy, rollout
        ).scores  # [B]
        lengths = rollout.mask.sum(1).cpu().numpy()  # [B]
        divergences = rollout.kl.sum(1).cpu().numpy()  # [B]
        told = zip(prompts, rollouts.texts(self.policy, rollout), scores, lengths, divergences, strict=True)
        return Evaluation(
            self.done,
            float(scores.mean()),
            float(scores.std(ddof=1) / len(scores) ** 0.5),
            float(rollout.kl.sum() / len(prompts)),
            float(lengths.mean()),
            float(rollout.entropy.sum() / lengths.sum()),
            tuple(
                Sample(prompt, text, float(score), int(length), float(kl)) for prompt, text, score, length, kl in told
            ),
        )

    # ------------------------------------------------------------ randomness and state

    def _random(self, step: int, stream: int, seed: int | None = None) -> np.random.Generator:
        return np.random.default_rng([self.config.seed if seed is None else seed, step, stream])

    def _generator(self, step: int, stream: int, seed: int | None = None) -> torch.Generator:
        return torch.Generator().manual_seed(int(self._random(step, stream, seed).integers(2**62)))

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on: weights, optimizers, running baseline and the number of steps done, as tensors and numbers.

        The random streams are functions of seed and step, so the number is their state.
        """
        kept = {
            "done": self.done,
            "policy": self.policy.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": (torch.from_numpy(self.baseline.sums), torch.from_numpy(self.baseline.weights)),
        }
        if self.critic is not None:
            kept |= {"critic": self.critic.state_dict(), "critic_optimizer": self.critic_optimizer.state_dict()}
        return kept

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state` of a lab of the same config."""
        try:
            self.policy.module.load_state_dict(state["policy"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.baseline = forms.RunningBaseline(*(x.numpy().copy() for x in state["baseline"]))
            if self.critic is not None:
                self.critic.load_state_dict(state["critic"])
                self.critic_optimizer.load_state_dict(state["critic_optimizer"])
            self.done = int(state["done"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise RedvizError(f"The kept state does not fit this run ({error}); start the run again.") from error
