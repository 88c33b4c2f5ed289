"""``redviz lab``: policy-gradient training against a reward model; stopped at any time, the same command goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redviz.cli.loading import Device
from redviz.cli.options import methods_with_options
from redviz.cli.terminal import shown
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.lab.config import LabConfig
    from redviz.lab.steps import Evaluation, Step


def lab(
    algorithm: Annotated[str, typer.Option("--algorithm", help="reinforce, rloo, grpo or ppo.")] = "rloo",
    method: Annotated[str, typer.Option("--method", help="sparse, uniform, red, abc, ig or random.")] = "red",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="METHOD.NAME=VALUE, such as red.beta_c=0.5.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps of training.")] = 30,
    seed: Annotated[int, typer.Option("--seed", help="Of every random draw.")] = 0,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Adam's, constant.")] = 3e-4,
    kl_coef: Annotated[float, typer.Option("--kl-coef", help="What a token pays for leaving the reference.")] = 0.05,
    kl_estimator: Annotated[str, typer.Option("--kl-estimator", help="k1, k2 or k3.")] = "k1",
    gamma: Annotated[float, typer.Option("--gamma", help="Discount.")] = 1.0,
    lam: Annotated[float, typer.Option("--lam", help="Lambda of GAE, for ppo.")] = 0.95,
    clip: Annotated[float, typer.Option("--cliprange", help="Of the ratio, for grpo and ppo.")] = 0.2,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over one batch, for grpo and ppo.")] = 1,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="A request to train on, as often as needed; a few of ours if not given."),
    ] = None,
    group: Annotated[int, typer.Option("--num-generations", help="Responses to one drawn request.")] = 4,
    batch: Annotated[int, typer.Option("--batch-size", help="Responses of a step.")] = 32,
    micro_batches: Annotated[int, typer.Option("--micro-batches", help="Parts of a step.")] = 4,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Where a response is cut.")] = 32,
    policy: Annotated[str, typer.Option("--policy", help="embedded:writer, a folder or a Hub id.")] = "embedded:writer",
    model: Annotated[
        str, typer.Option("--model", help="The reward model: embedded:sentiment, a folder or a Hub id.")
    ] = "embedded:sentiment",
    device: Device = "auto",
    lines: Annotated[
        bool, typer.Option("--lines", help="One line of figures per step on stderr instead of a bar.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="The run in one file: .json, or .csv for the steps.")
    ] = None,
) -> int:
    """Train a policy against a reward model; killed or stopped, the same command goes on."""
    if output is not None and output.suffix.lower() not in (".json", ".csv"):
        raise RedvizError(f"{output.name} is neither .json nor .csv; give the output one of these endings.")
    options = methods_with_options(method, option or [])[method] if method != "random" else {}
    if method == "random" and option:
        raise RedvizError("The random control has no options; leave --option out.")
    from redviz.cli.ctrl_c import ctrl_c_between_steps
    from redviz.cli.files import write_text
    from redviz.lab.config import LabConfig
    from redviz.lab.requests import REQUESTS
    from redviz.lab.runs import create_lab_run, export_csv, export_json
    from redviz.lab.training import Lab
    from redviz.lab.working import work

    config = LabConfig(
        algorithm=algorithm,
        method=method,
        options=options,
        kl_coef=kl_coef,
        kl_estimator=kl_estimator,  # type: ignore[arg-type]
        gamma=gamma,
        lam=lam,
        clip=clip,
        epochs=epochs,
        prompts=tuple(prompt or REQUESTS),
        group=group,
        batch=batch,
        micro_batches=micro_batches,
        max_new_tokens=max_new_tokens,
        learning_rate=learning_rate,
        steps=steps,
        seed=seed,
        device=device,
        policy=policy,
        reward_model=model,
    )
    run = create_lab_run(config)
    typer.echo(f"lab run {run.id} in {shown(str(run.folder))}", err=True)
    training = Lab(config)
    telling = _Lines() if lines else _Bar(config)

    def tell(step: Step) -> None:
        telling.step(step)
        heed()

    try:
        with ctrl_c_between_steps() as heed:
            work(training, run, on_step=tell, on_evaluation=telling.evaluation)
    except KeyboardInterrupt:
        telling.close()
        typer.echo("redviz: Stopped; the same command goes on where it stopped.", err=True)
        return 1
    finally:
        telling.close()
        training.close()
    taken, judged = run.steps(), run.evaluations()
    if output is not None:
        text = export_csv(config, taken) if output.suffix.lower() == ".csv" else export_json(config, taken, judged)
        write_text(output, text)
    before, after = judged["before"], judged["after"]
    typer.echo(
        f"{config.algorithm} {shown(config.label)}, seed {seed}, {len(taken)} steps: reward on held-out requests "
        f"{before.reward:+.3f} ± {before.reward_error:.3f} before, {after.reward:+.3f} ± {after.reward_error:.3f} after; "
        f"KL {after.kl:.2f}, {after.length:.1f} tokens"
    )
    return 0


class _Lines:
    """One line per step on stderr."""

    def step(self, step: Step) -> None:
        typer.echo(
            f"step {step.step}  reward {step.reward:+.3f}  KL {step.kl:.2f}  length {step.length:.1f}  entropy {step.entropy:.2f}  "
            f"gradient {step.gradient_norm:.3g} (variance {step.gradient_variance:.3g})  {step.seconds:.1f} s",
            err=True,
        )

    def evaluation(self, name: str, found: Evaluation) -> None:
        typer.echo(f"{name}: reward {found.reward:+.3f} ± {found.reward_error:.3f} on held-out requests", err=True)

    def close(self) -> None:
        pass


class _Bar:
    """A bar on stderr: steps, the last reward, seconds a step; a line now and then in a pipe."""

    def __init__(self, config: LabConfig) -> None:
        self.stream = typer.get_text_stream("stderr")
        self.terminal = self.stream.isatty()
        self.every = 0.2 if self.terminal else 30.0
        self.total, self.told, self.drawn = config.steps, -1e9, False

    def step(self, step: Step) -> None:
        now = time.monotonic()
        if step.step < self.total and now - self.told < self.every:
            return
        self.told, self.drawn = now, True
        filled = 24 * step.step // self.total
        text = (
            f"{'█' * filled}{'░' * (24 - filled)} {step.step}/{self.total}  reward {step.reward:+.3f}  KL {step.kl:.2f}  "
            f"{step.seconds:.1f} s/step"
        )
        self.stream.write(f"\r\x1b[2K{text}" if self.terminal else f"{text}\n")
        self.stream.flush()

    def evaluation(self, name: str, found: Evaluation) -> None:
        """Nothing: the last line of the command tells both."""

    def close(self) -> None:
        if self.terminal and self.drawn:
            self.stream.write("\n")
        self.drawn = False
