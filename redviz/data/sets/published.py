"""The schemas of single published data sets and of trainers, which are looked for before the general ones."""

from __future__ import annotations

from redviz.data.sets.candidates import CONTEXTS, chat_and_rejected, completions, continued, is_no_pair, one_rated, pair
from redviz.data.sets.lists import are_lists, best_of, replies, tree_rows
from redviz.data.sets.schema import PROMPTS, Schema
from redviz.data.sets.spelling import objects_of, spelled
from redviz.data.sets.stepwise import is_marked, is_signed_chat, marked, signed_chat
from redviz.data.sets.values import Row, number_of
from redviz.data.sets.verdicts import (
    FIRSTS,
    SECONDS,
    STATED,
    arena_lists,
    battle,
    has_two,
    orig_preference,
    shp,
    summaries,
    two_and_scores,
    two_and_verdict,
)

RATINGS = ("score_{}", "{}_score", "rating_{}", "{}_rating", "{}-rating", "{}_avg_rating")
PAIR = (
    "system", "context", "status", *(pattern.format(side) for side in ("chosen", "rejected") for pattern in RATINGS),
)  # fmt: skip
CHOSEN = ("chosen", "chosen_response", "accepted", "preferred_output", "response_j")
REJECTED = ("rejected", "rejected_response", "non_preferred_output", "response_k")
ASKED = (*PROMPTS, *CONTEXTS)
VERDICT = "the verdict says which is chosen; ties are kept, rated alike"
CHATS = ("conversations", "messages", "conversation")


def _are_lists(row: Row) -> bool:
    return are_lists(row, *(next(name for name in names if row.get(name) is not None) for names in (CHOSEN, REJECTED)))


def _has_listed_texts(row: Row) -> bool:
    listed = row["answers"]
    if isinstance(listed, str) and listed.lstrip().startswith("["):
        listed = spelled(listed)
    listed = objects_of(listed)
    return isinstance(listed, list) and bool(listed) and all(isinstance(answer, dict) for answer in listed)


PUBLISHED: tuple[Schema, ...] = (
    Schema(
        "tree",
        "OpenAssistant trees",
        "conversation trees",
        (("message_tree_id",), ("prompt",)),
        lambda row, *names: replies(row, "messages", "replies"),
        accepts=lambda row: isinstance(row["prompt"], dict) and "replies" in row["prompt"],
        remark="every question with replies is an item; ratings are ranks below zero, so that the best is the highest",
        unfold=tree_rows,
    ),
    Schema(
        "judged_pair",
        "Prometheus Preference-Collection",
        "instructions with two responses and a judge's preference",
        (("orig_instruction",), ("orig_response_A",), ("orig_response_B",), ("orig_preference",)),
        orig_preference,
        extra=("orig_score_A", "orig_score_B"),
        remark="the responses that were judged are read, not the judge's own prompt and verdict",
    ),
    Schema(
        "judged_response",
        "Prometheus Feedback-Collection",
        "instructions with one response and a judge's score",
        (("orig_instruction",), ("orig_response",), ("orig_score",)),
        one_rated,
        remark="the response that was judged is read, not the judge's own prompt and verdict",
    ),
    Schema(
        "shp",
        "SHP",
        "posts with two comments and a verdict",
        (("history",), ("human_ref_A",), ("human_ref_B",), ("labels",)),
        shp,
        extra=("score_A", "score_B"),
        remark="label 1 means A is chosen, 0 means B; ratings are votes",
    ),
    Schema(
        "summaries",
        "summarize_from_feedback",
        "posts with two summaries and a verdict",
        (("info",), ("summaries",), ("choice",)),
        summaries,
        remark=VERDICT,
    ),
    Schema(
        "battle",
        "Chatbot Arena or MT-bench",
        "pairs of conversations with a verdict",
        (("conversation_a",), ("conversation_b",), ("winner",)),
        battle,
        extra=("turn", "model_a", "model_b"),
        remark=VERDICT,
    ),
    Schema(
        "arena_lists",
        "arena-55k",
        "prompts with two responses and a verdict",
        (("prompt",), ("response_a",), ("response_b",), ("winner_model_a",), ("winner_model_b",), ("winner_tie",)),
        arena_lists,
        remark=VERDICT,
    ),
    Schema(
        "two_answers",
        "two answers and a verdict",
        "prompts with two answers and a verdict",
        (ASKED, FIRSTS, SECONDS, STATED),
        two_and_verdict,
        accepts=has_two,
        extra=("system", "model_a", "model_b"),
        remark=VERDICT,
    ),
    Schema(
        "two_scores",
        "two answers and their scores",
        "prompts with two scored answers",
        (
            ASKED,
            FIRSTS,
            SECONDS,
            ("score_0", "score_a", "score_A", "score_1"),
            ("score_b", "score_B", "score_2", "score_1"),
        ),
        two_and_scores,
        accepts=has_two,
        extra=("system",),
        remark="the higher score is chosen; ties are kept, rated alike",
    ),
    Schema(
        "swift",
        "ms-swift",
        "conversations with a rejected response",
        (("messages",), ("rejected_response", "rejected_messages")),
        chat_and_rejected,
        accepts=lambda row: row.get("chosen") is None and row.get("chosen_response") is None,
        extra=("system",),
        remark="the last assistant turn is chosen",
    ),
    Schema(
        "swift_flat",
        "ms-swift query and response",
        "prompts with a response and a rejected one",
        (("query", "prompt", "instruction"), ("response", "output"), ("rejected_response",)),
        pair,
        accepts=lambda row: row.get("chosen") is None and row.get("chosen_response") is None,
        extra=("system", "history", "input"),
        remark="the response is chosen",
    ),
    Schema(
        "continued",
        "Step-DPO",
        "prompts with steps and two next steps",
        (("prompt",), ("initial_reason_steps",), ("chosen",), ("rejected",)),
        continued,
        remark="each response is the steps that were taken and the next one",
    ),
    Schema(
        "best_of_n",
        "best of n",
        "prompts with lists of chosen and rejected responses",
        ((*PROMPTS, *CONTEXTS), CHOSEN, REJECTED),
        best_of,
        accepts=_are_lists,
        extra=("system",),
        remark="right is a model that puts every chosen one above all rejected ones",
    ),
    Schema(
        "signed_chat",
        "RLHFlow process rewards",
        "solutions with a sign after each step",
        (CHATS,),
        signed_chat,
        accepts=lambda row: is_signed_chat(row, next(name for name in CHATS if row.get(name) is not None)),
        remark="the steps are the response, joined by line breaks and kept as spans, good where the sign is +",
    ),
    Schema(
        "marked_steps",
        "Math-Shepherd",
        "solutions with a marked step each line",
        (("input",), ("label",)),
        marked,
        accepts=is_marked,
        extra=("task",),
        remark="the steps are the response, joined by line breaks and kept as spans, good where the sign is +",
    ),
    Schema(
        "ranked",
        "listed answers",
        "prompts with several answers",
        (PROMPTS, ("answers",)),
        completions,
        accepts=lambda row: _has_listed_texts(row) and is_no_pair(row),
        extra=("system",),
        remark="ratings are votes, or ranks below zero, so that the best is the highest",
    ),
    Schema(
        "rollouts",
        "verl rollouts",
        "rollouts",
        (("input",), ("output",), ("score", "reward")),
        one_rated,
        accepts=lambda row: (
            row.get("instruction") is None and number_of(row.get("score", row.get("reward"))) is not None
        ),
        remark="the score is kept as rating; the prompt is the text that the policy read, its chat template included",
    ),
)
