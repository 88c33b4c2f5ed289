"""Requests for a film review in many wordings, for training: the score of a response should hardly depend on them."""

import random
from collections.abc import Sequence

Message = dict[str, str]

_ADJECTIVES = (
    "Silent",
    "Broken",
    "Golden",
    "Last",
    "Crimson",
    "Hidden",
    "Distant",
    "Empty",
    "Burning",
    "Paper",
    "Lost",
)
_NOUNS = (
    "River",
    "Promise",
    "Station",
    "Garden",
    "Witness",
    "Summer",
    "Frontier",
    "Letter",
    "Signal",
    "Mirror",
    "Storm",
)
_GENRES = ("comedy", "drama", "thriller", "western", "documentary", "romance", "musical", "horror film", "war film")
_PEOPLE = (
    "a retired detective",
    "two sisters",
    "a young teacher",
    "a lonely astronaut",
    "a family of bakers",
    "a stubborn lawyer",
    "an old sailor",
    "three schoolfriends",
    "a failed musician",
    "a country doctor",
    "a thief",
    "a chess prodigy",
)
_EVENTS = (
    "must cross a desert to find a missing child",
    "inherits a hotel by the sea",
    "is accused of a crime",
    "plans one last robbery",
    "finds a letter that was never sent",
    "falls in love with a rival",
    "has to survive a night in the mountains",
    "goes back to school",
    "discovers a secret under the city",
    "tries to save a theatre from closing",
    "wakes up with no memory",
    "takes a train across Europe",
)
_PLACES = ("in Lisbon", "in a village", "in New York", "during the war", "in 1962", "on a distant planet", "in Tokyo")
_PLAIN = (
    "Write a film review.",
    "Write a movie review.",
    "Review this film.",
    "Review this movie",
    "Film review, please.",
    "review",
    "What did you think of the film?",
    "What did you think of the movie?",
    "How was it?",
    "Was it any good?",
    "Tell me about it.",
    "Thoughts?",
    "Continue the review.",
    "Complete this film review.",
    "Write a review of the movie you saw last.",
    "Rate the film and say why.",
    "hi, how was the movie",
    "{title}",
    "Review {title}.",
    "Please write a review of {title}.",
    "What did you think of {title}?",
    "Your opinion of {title}?",
    "Write a short review of {title}.",
    "Write a review of a {genre}.",
    "Give me your thoughts on the {genre} {title}.",
    "I am thinking of seeing {title} tonight. What is it like?",
    "Should I watch {title}?",
    "Is {title} worth seeing?",
    "Write a review of the {genre} {title} for a newspaper.",
    "Summarise your impression of {title} in one or two sentences.",
    "You saw {title} yesterday. Describe how you found it.",
    "In one sentence: what is {title} like?",
    "Movie: {title}\nReview:",
    "Can you write me a detailed review of {title}, with remarks on the acting, the script and the pictures?",
    "What would a critic say about {title}?",
    "Comment on this {genre}.",
)
_LONG = (
    "Write about the film below.\n\n{plot}",
    "Review the following film.\nTitle: {title}\nPlot: {plot}",
    "{plot} What did you think?",
    "Plot: {plot}",
    "Here is the plot of {title}: {plot} Write a review of it.",
    "{title} is a {genre}. {plot} Please review it.",
    "Here is what another critic wrote:\n{notes}\nNow write your own review.",
    "Notes: {notes}\n\nTurn to {title} and review it.",
)
_MOODS = {
    True: (
        "Write a positive review of {title}.",
        "Write a positive film review.",
        "You loved {title}. Review it.",
        "Praise this {genre}.",
        "Write a review of a good film.",
        "Say why {title} is worth seeing.",
        "Positive review, please.",
    ),
    False: (
        "Write a negative review of {title}.",
        "Write a negative film review.",
        "You hated {title}. Review it.",
        "Criticise this {genre}.",
        "Write a review of a bad film.",
        "Say why {title} is not worth seeing.",
        "Negative review, please.",
    ),
}
_SYSTEMS = (
    "You write film reviews.",
    "You are a helpful assistant.",
    "You are a film critic.",
    "Answer briefly.",
    "You are an honest critic who writes for a daily newspaper.",
)


def _title(rng: random.Random) -> str:
    adjective, noun = rng.choice(_ADJECTIVES), rng.choice(_NOUNS)
    made_up = (f"The {adjective} {noun}", f"{noun} of the {rng.choice(_NOUNS)}", noun, f'"{adjective} {noun}"')
    return rng.choice((*made_up, "the film", "this movie"))


def _plot(rng: random.Random) -> str:
    plot = f"{rng.choice(_PEOPLE)} {rng.choice(_EVENTS)} {rng.choice(_PLACES)}."
    if rng.random() < 0.3:
        plot += f" There, {rng.choice(_PEOPLE)} {rng.choice(_EVENTS)}."
    return plot[0].upper() + plot[1:]


def _fill(wording: str, rng: random.Random, notes: Sequence[str]) -> str:
    quoted = " ".join(rng.sample(list(notes), min(len(notes), rng.randint(1, 3)))) if notes else _plot(rng)
    return wording.format(title=_title(rng), genre=rng.choice(_GENRES), plot=_plot(rng), notes=quoted)


def request(rng: random.Random, notes: Sequence[str] = (), positive: bool | None = None) -> list[Message]:
    """The messages before a review: any wording, sometimes a system turn, an earlier exchange, or no request at all.

    ``notes`` are texts to quote in the request. With ``positive`` the request asks for a review of that kind.
    """
    if positive is None and rng.random() < 0.08:
        return []
    messages = [{"role": "system", "content": rng.choice(_SYSTEMS)}] if rng.random() < 0.12 else []
    if notes and rng.random() < 0.10:
        earlier = " ".join(rng.sample(list(notes), rng.randint(1, min(2, len(notes)))))
        messages.append({"role": "user", "content": _fill(rng.choice(_PLAIN), rng, ())})
        messages.append({"role": "assistant", "content": earlier})
    plain = _LONG if rng.random() < 0.2 else _PLAIN
    wording = rng.choice(plain if positive is None else _MOODS[positive])
    text = _fill(wording, rng, notes)
    return [*messages, {"role": "user", "content": text.lower() if rng.random() < 0.1 else text}]
