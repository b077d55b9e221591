"""Pieces of sentences that refuse a problem file."""

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from neurho._types import NeurhoError


class Refusal(ValueError):
    """A value that is well formed but does not fit the others."""

    def __init__(self, key: str, must: str, but: str) -> None:
        super().__init__(f"key `{key}` must {must}, but {but}")
        self.key, self.must, self.but = key, must, but

    def below(self, path: str) -> "Refusal":
        """The same about a key of the table `path`."""
        return Refusal(f"{path}.{self.key}", self.must, self.but)


class Refusals(ValueError):
    """All that does not fit."""

    def __init__(self, found: Sequence[Refusal]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.found = found


def refuse(found: Iterable[Refusal]) -> None:
    """Raise `Refusals` if anything is found."""
    if listed := list(found):
        raise Refusals(listed)


def require_none(where: str, sentences: Sequence[str]) -> None:
    """Raise one `NeurhoError` with all sentences about the problem `where`, if there are any."""
    if len(sentences) == 1:
        raise NeurhoError(f"In `{where}`, {sentences[0]}")
    if sentences:
        raise NeurhoError("\n  ".join((f"In `{where}`, {len(sentences)} things are wrong:", *sentences)))


def shown(value: object) -> str:
    """A value as a problem file would write it, shortened."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def ending(hint: str) -> str:
    """A full stop, or a hint behind a semicolon."""
    return f"; {hint}{'' if hint.endswith('?') else '.'}" if hint else "."


def suggest(given: str, known: list[str], prefix: str = "") -> str:
    """The known name that is most like the given one, as a question, or ""."""
    near = difflib.get_close_matches(given.lower(), known, n=1, cutoff=0.6)
    return f"did you mean `{prefix}{near[0]}`?" if near else ""


def one_of(choices: list[Any]) -> str:
    """Choices in quotes, with "or" before the last."""
    quoted = [f'"{choice}"' for choice in choices]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
