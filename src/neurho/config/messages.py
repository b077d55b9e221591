"""Pieces of sentences that refuse a problem file."""

import difflib
import json
from typing import Any


class Refusal(ValueError):
    """A value that is well formed but does not fit the others."""

    def __init__(self, key: str, must: str, but: str) -> None:
        super().__init__(f"key `{key}` must {must}, but {but}")
        self.key, self.must, self.but = key, must, but

    def below(self, path: str) -> "Refusal":
        """The same about a key of the table `path`."""
        return Refusal(f"{path}.{self.key}", self.must, self.but)


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
