"""How texts are named in messages, and where in them an unknown sign stands."""

import re

INSTEAD = {"^": "; write powers with `**`", "@": "; write products of operators with `*`"}
_SIGN = re.compile(r"[\s)]*(\w+|//|<<|>>|[<>=!]=|.)")


def named(text: str) -> str:
    """A text at the beginning of a sentence."""
    shown = " ".join(text.split())
    return f"The operator `{shown if len(shown) <= 80 else shown[:77] + '...'}`"


def plain(message: str) -> str:
    """What Python's parser says, as part of a sentence."""
    return message.rstrip(".").replace("'", "`") or "invalid syntax"


def unknown_sign(line: str, start: int) -> tuple[int, str]:
    """The byte at which the sign behind byte `start` and its brackets stands, and what to say of it."""
    found = _SIGN.match(line.encode()[start:].decode())
    sign, skipped = (found[1], found.start(1)) if found else ("", 0)
    return start + skipped, f"`{sign}` is not known{INSTEAD.get(sign, '')}"
