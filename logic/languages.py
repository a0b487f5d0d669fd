"""The languages, by name: a new one is a file and a line here."""

from collections.abc import Mapping
from typing import Any

from logic.boolean.language import Boolean
from logic.language import Language

LANGUAGES: dict[str, type[Language]] = {"boolean": Boolean}


def language_of(fields: Mapping[str, Any]) -> Language:
    """The language that a configuration's group describes. Raises ValueError for an unknown name."""
    fields = {"name": "boolean", **fields}  # configurations of version 0.1 name none
    if fields["name"] not in LANGUAGES:
        raise ValueError(f"language.name = {fields['name']}: allowed are {', '.join(LANGUAGES)}")
    return LANGUAGES[fields["name"]](**fields)
