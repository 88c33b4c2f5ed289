"""The requests that the lab trains on, and the others that it is judged by: wordings as the embedded writer knows them."""

from __future__ import annotations

REQUESTS = (
    "Write a film review.",
    "Review this movie",
    "What did you think of the film?",
    "Tell me about it.",
    "Was it any good?",
    "Write a short review of The Silent River.",
    "Comment on this thriller.",
    "Continue the review.",
)

HELD_OUT = (
    "Write a movie review.",
    "How was it?",
    "Thoughts?",
    "Review The Paper Garden.",
    "Is The Last Signal worth seeing?",
    "Write a review of a comedy.",
    "In one sentence: what is The Lost Letter like?",
    "Rate the film and say why.",
)
