"""Rules for text: an exact answer, a summary, and the next turn of a dialogue.

Of every text at most 20,000 characters are looked at, so that a rule ends soon whatever it is given. Points are whole hundredths.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

from redviz.data.gallery import load_gallery
from redviz.errors import RedvizError
from redviz.models.reading.conversations import messages_of
from redviz.records import Prompt

MOST = 20_000  # characters

NUMBER = r"(?<![\w.])[-−]?(?:[0-9]{1,3}(?:,[0-9]{3}){1,9}|[0-9]{1,30})(?:\.[0-9]{1,30})?(?![0-9])"
FINAL = re.compile(r"answer ?:|####|\\boxed ?\{", re.IGNORECASE)
STATED = re.compile(rf"\(answer: ?({NUMBER})\)", re.IGNORECASE)

WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
SENTENCE_START = re.compile(r"(?:\A|[.!?:\n])[\s\"“”‘’()]*")
BUDGET = re.compile(r"([0-9]{1,4}) words")
COMMON = re.compile(
    "about|after|again|along|before|being|between|could|every|other|shall|should|since|still|their|there|these|those|through"
    "|under|until|where|which|while|would"
)

NUMBER_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
WEEKDAY = re.compile(r"\b(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day", re.IGNORECASE)
DATE = re.compile(rf"\b([0-9]{{1,2}})(?:st|nd|rd|th)? (?:of )?({MONTHS})\b|\b({MONTHS}) ([0-9]{{1,2}})(?![0-9])")
TIME = re.compile(
    r"\b([0-9]{1,2})(?:[:.]([0-9]{2}))? ?[ap]\.?m\b|\b([0-9]{1,2}):([0-9]{2})\b|\b(?:noon|midnight)\b", re.IGNORECASE
)
AMOUNT = re.compile(rf"\b([0-9]{{1,6}}|{'|'.join(NUMBER_WORDS)})\b(?:[ -]([a-z]{{3,}}))?", re.IGNORECASE)
JOINING = ("and", "are", "but", "for", "from", "please", "the", "too", "with")


def user_turns(prompt: Prompt) -> list[str]:
    """What the user says, turn by turn; there is always a last turn."""
    return [message["content"] for message in messages_of(prompt) if message["role"] == "user"] or [""]


# ---------------------------------------------------------------- exact answer


def exact_answer(prompt: Prompt, response: str) -> float:
    r"""1 for the reference answer, 0.1 for another final answer, 0 where no final answer is given.

    The final answer is the last number on the line after the last "Answer:" or "####", or within the last ``\boxed{}``. Numbers
    are compared by value: 1,200 is 1200.0. The reference is the number in the prompt's "(answer: 42)"; for the prompts of the
    gallery it is the gallery's ``answer``. How the response got there earns nothing.

    Raises
    ------
    RedvizError
        Where the reference answer is not known.
    """
    reference = _reference(prompt)
    text = response[-MOST:]
    marks = list(FINAL.finditer(text))
    if not marks:
        return 0.0
    rest = text[marks[-1].end() :]
    stated = rest.partition("}")[0] if marks[-1][0].endswith("{") else rest.lstrip().partition("\n")[0]
    numbers = re.findall(NUMBER, stated)
    if not numbers:
        return 0.0
    return 1.0 if _value(numbers[-1]) == reference else 0.1


def _reference(prompt: Prompt) -> Fraction:
    asked = user_turns(prompt)[-1][-MOST:]
    stated = STATED.findall(asked) or [_gallery_answers().get(asked.strip(), "")]
    if not stated[-1]:
        raise RedvizError(
            'The reference answer to this prompt is not known; end the prompt with it, as in "(answer: 42)".'
        )
    return _value(stated[-1])


@cache
def _gallery_answers() -> dict[str, str]:
    return {user_turns(item.prompt)[-1].strip(): item.answer for item in load_gallery() if item.answer}


def _value(number: str) -> Fraction:
    return Fraction(number.replace(",", "").replace("−", "-"))


# ---------------------------------------------------------------- summary


def summary(prompt: Prompt, response: str) -> float:
    """The share of a text's key facts that its summary names, less 0.02 for every word over budget and 0.2 for every new number.

    The text is what follows the first blank line of the user's longest turn (all of it where there is no blank line). Its key
    facts are its numbers, its capitalised words that do not begin a sentence, and its words of five letters or more that occur
    at least twice; a plural counts as its singular. The budget is "20 words" where the prompt says so outside the text, else 30 %
    of the text's words; going over it costs at most 0.5. A number that the text does not hold costs 0.2, all of them at most 0.6.
    """
    turns = user_turns(prompt)
    longest = turns.index(max(turns, key=len))
    before, gap, after = turns[longest][:MOST].partition("\n\n")
    source, asked = (after, before) if gap else (before, "")
    facts, numbers = _key_facts(source), set(re.findall(NUMBER, source))
    text = response[:MOST]
    said, given = {_stem(word) for word in WORD.findall(text)}, set(re.findall(NUMBER, text))
    if not facts | numbers or not text.strip():
        return 0.0
    share = Fraction(len(facts & said) + len(numbers & given), len(facts | numbers))
    limits = BUDGET.findall(" ".join([asked, *(turn[:MOST] for i, turn in enumerate(turns) if i != longest)]))
    budget = int(limits[-1]) if limits else len(source.split()) * 3 // 10
    over = max(0, len(response.split()) - budget)
    return (round(100 * share) - min(50, 2 * over) - min(60, 20 * len(given - numbers))) / 100


def _key_facts(source: str) -> set[str]:
    starts = {match.end() for match in SENTENCE_START.finditer(source)}
    facts: set[str] = set()
    seen: set[str] = set()
    for match in WORD.finditer(source):
        word = _stem(match[0])
        if match[0][0].isupper() and match.start() not in starts and len(match[0]) > 1:
            facts.add(word)
        if word in seen and len(match[0]) >= 5 and not COMMON.fullmatch(match[0].lower()):
            facts.add(word)
        seen.add(word)
    return facts


def _stem(word: str) -> str:
    return word.casefold().replace("’", "'").removesuffix("'s").removesuffix("s")


# ---------------------------------------------------------------- dialogue


def dialogue(prompt: Prompt, response: str) -> float:
    """A sum of up to 1 for a reply that repeats what was agreed, shortly.

    0.6 times the share of slots that the reply names. The slots are the last weekday, the last date and the last time that any
    turn names, and for every noun the last amount that the user names with it ("four people", later "five people": five); a
    conversation with no slot gives this part in full. 0.2 for at most 60 words; 0.2 for at most one question and a last
    sentence that is closed. An empty reply earns 0.
    """
    text = response[:MOST].strip()
    if not text:
        return 0.0
    slots: dict[tuple[str, str], str] = {}
    for message in messages_of(prompt)[-100:]:
        if message["role"] != "system":
            found = _slots(message["content"][:MOST])
            slots |= {slot: value for slot, value in found if slot[0] != "amount" or message["role"] == "user"}
    said = {(kind, value) for (kind, _), value in _slots(text)}
    kept = sum((kind, value) in said for (kind, _), value in slots.items())
    points = round(Fraction(60 * kept, len(slots))) if slots else 60
    points += 20 * (len(response.split()) <= 60)
    points += 20 * (text.count("?") <= 1 and text.endswith((".", "!", "?")))
    return points / 100


def _slots(text: str) -> list[tuple[tuple[str, str], str]]:
    """Every ((kind, noun), value) that a turn names, in the order in which it names them; a time loses its half of the day."""
    slots = [(("weekday", ""), match[1].lower()) for match in WEEKDAY.finditer(text)]
    slots += [(("date", ""), f"{match[1] or match[4]} {match[2] or match[3]}") for match in DATE.finditer(text)]
    for match in TIME.finditer(text):
        hours, minutes = int(match[1] or match[3] or 0), int(match[2] or match[4] or 0)
        slots.append((("time", ""), f"{hours % 12}:{minutes:02}"))
    for match in AMOUNT.finditer(TIME.sub(" ", DATE.sub(" ", text))):
        noun, named = (match[2] or "").lower(), match[1].lower()
        value = NUMBER_WORDS.index(named) + 2 if named in NUMBER_WORDS else int(named)
        slots.append((("amount", "" if noun in JOINING else noun.removesuffix("s")), str(value)))
    return slots
