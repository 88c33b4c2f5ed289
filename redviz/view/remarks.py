"""What a method reports about how its credits came about, in words: operator, players, steps, samples, errors, models."""

from __future__ import annotations

from redviz.records import Credit


def remarks(credit: Credit) -> list[str]:
    """What a method reports about how its credits came about, in a few words each.

    >>> import numpy as np
    >>> remarks(Credit(np.zeros(1), None, None, meta={"operator": "pad", "players": "word"}))
    ['by word, pad']
    """
    meta = credit.meta
    sentences = []
    if "players" in meta:
        sentences.append(f"by {meta['players']}" + (f", {meta['operator']}" if "operator" in meta else ""))
    if "steps" in meta:
        sentences.append(
            f"{meta['steps']} steps" + ("" if meta.get("converged", True) else ", residual above its tolerance")
        )
    if meta.get("exact"):
        sentences.append("exact, all orders")
    elif "permutations" in meta:
        sentences.append(f"{meta['permutations']} permutations")
    elif "samples" in meta:
        sentences.append(f"{meta['samples']} samples")
    if "claimed_sum" in meta:
        sentences.append(f"the paper claims a sum of {meta['claimed_sum']:.3g}")
    if len(spread := meta.get("stderr") or []):
        sentences.append(f"standard error up to {max(spread):.2g}")
    if "policy" in meta:
        sentences.append(f"{meta['policy']}" + (f" against {meta['reference']}" if "reference" in meta else ""))
    return sentences


def instructions(credit: Credit) -> str:
    """The two instructions of a contrastive method, which are ours and not its paper's; "" for other methods."""
    if "better" not in credit.meta:
        return ""
    return (
        f"asks {credit.meta['reference']} twice, in our wording: “{credit.meta['better']}” and “{credit.meta['worse']}”"
    )
