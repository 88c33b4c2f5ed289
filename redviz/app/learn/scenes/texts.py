"""The texts that the scenes look at: gallery responses by their id, and a few short ones."""

from __future__ import annotations

from functools import cache

from redviz.data.gallery import GalleryItem, load_gallery
from redviz.errors import RedvizError
from redviz.records import Example

DISNEY = Example(
    "Was Walt Disney the original creator of Mickey Mouse?",
    "Yes, Walter Elias Disney was indeed the original creator of Mickey Mouse.",
)


UMBRELLA = Example(
    'Is "Mr. Pellow\'s Second Umbrella" worth an evening? Answer as a film critic would.',
    "No. The cast is talented and the music is lovely, but the plot is a tedious mess.",
)


def gallery_example(name: str) -> Example:
    """The gallery's response "item/response".

    >>> gallery_example("film-sand-clock/b").response
    'Brilliant!'
    """
    for example in gallery_group(name.partition("/")[0]):
        if example.id == name:
            return example
    raise RedvizError(f"The gallery has no {name!r}; name one of its responses.")


def gallery_group(item_id: str) -> list[Example]:
    """All responses to one prompt of the gallery."""
    item = _gallery().get(item_id)
    if item is None:
        raise RedvizError(f"The gallery has no {item_id!r}; name one of its prompts.")
    return [Example(item.prompt, r.text, f"{item_id}/{r.id}") for r in item.responses]


@cache
def _gallery() -> dict[str, GalleryItem]:
    return {item.id: item for item in load_gallery()}
