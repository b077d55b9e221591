"""From parsed TOML to a `Config`, or to one sentence on the first thing that is wrong."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from neurho._types import NeurhoError
from neurho.config.messages import Refusal, ending, one_of, shown, suggest
from neurho.config.schema import KINDS, NESTED, PLAIN, PULSES, Config
from neurho.config.tables import Table


def validate(data: Mapping[str, Any], where: str = "the problem") -> Config:
    """A `Config` from parsed TOML; `where` names it in error messages.

    **Raises** `NeurhoError`, one sentence on the first thing that is wrong.
    """
    tables: dict[str, Any] = {}
    for name in data:
        if name not in Config.model_fields:
            _unknown(where, name, "", list(Config.model_fields))
    for name, raw in data.items():
        tables[name] = raw if name == "seed" else _pulses(where, raw) if name == "pulses" else _table(where, name, raw)
    try:
        return Config(**tables)
    except ValidationError as error:
        raise NeurhoError(_sentence(where, "", Config, error, data)) from None


def _table(where: str, name: str, raw: object) -> Table:
    if not isinstance(raw, dict):
        raise NeurhoError(f"In `{where}`, `{name}` must be a table [{name}], but it is {shown(raw)}.")
    for key, implied in (("bloch", "product"), ("populations", "levels"), ("run", "state")):
        if name == "initial" and key in raw:
            raw = {"kind": implied, **raw}
    kind = PLAIN[name] if name in PLAIN else _kind(where, name, raw, KINDS[name])
    for key, model in NESTED.get(kind, {}).items():
        _entries(where, f"{name}.{key}", model, raw.get(key))
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise NeurhoError(_sentence(where, f"{name}.", kind, error, raw)) from None


def _pulses(where: str, raw: object) -> dict[str, Table]:
    """The tables [pulses.NAME]."""
    if not isinstance(raw, dict):
        raise NeurhoError(f"In `{where}`, `pulses` must hold tables [pulses.NAME], but it is {shown(raw)}.")
    found: dict[str, Table] = {}
    for name, entry in raw.items():
        path = f"pulses.{name}"
        if not name.isidentifier():
            raise NeurhoError(f"In `{where}`, `{path}` must have a name of letters and digits, but it has not.")
        if not isinstance(entry, dict):
            raise NeurhoError(f"In `{where}`, `{path}` must be a table [{path}], but it is {shown(entry)}.")
        kind = _kind(where, path, entry, PULSES)
        try:
            found[name] = kind.model_validate(entry)
        except ValidationError as error:
            refusal = error.errors()[0].get("ctx", {}).get("error")
            if isinstance(refusal, Refusal):
                raise NeurhoError(f"In `{where}`, {refusal.below(path)}.") from None
            raise NeurhoError(_sentence(where, f"{path}.", kind, error, entry)) from None
    return found


def _entries(where: str, path: str, model: type[Table], raw: object) -> None:
    """Check a list of tables one by one, so that a sentence can name the entry."""
    if not isinstance(raw, list):
        return
    for number, entry in enumerate(raw):
        if not isinstance(entry, dict):
            raise NeurhoError(f"In `{where}`, key `{path}[{number}]` must be a table, but it is {shown(entry)}.")
        try:
            model.model_validate(entry)
        except ValidationError as error:
            raise NeurhoError(_sentence(where, f"{path}[{number}].", model, error, entry)) from None


def _kind(where: str, name: str, raw: dict[str, Any], kinds: dict[str, type[Table]]) -> type[Table]:
    choices = one_of(list(kinds))
    if "kind" not in raw:
        raise NeurhoError(f"In `{where}`, key `{name}.kind` is missing; it must be {choices}.")
    given = raw["kind"]
    if not isinstance(given, str) or given not in kinds:
        hint = suggest(str(given), list(kinds))
        but = f"must be {choices}, but it is {shown(given)}"
        raise NeurhoError(f"In `{where}`, key `{name}.kind` {but}{ending(hint)}")
    return kinds[given]


def _sentence(where: str, prefix: str, model: type[Table], error: ValidationError, raw: Mapping[str, Any]) -> str:
    problems = error.errors()
    # A misspelt key is also a missing one: the spelling is what to say.
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    if not first["loc"]:
        return f"In `{where}`, {first['ctx']['error']}." if "ctx" in first else f"In `{where}`, {first['msg']}."
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        _unknown(where, key, prefix, list(model.model_fields), raw.get("kind"))
    if first["type"] == "missing" and key not in raw:
        if not prefix:
            return f"In `{where}`, the table [{key}] is missing."
        return f"In `{where}`, key `{prefix}{key}` is missing; it must be {_expected(model, key)}."
    hint = ""
    if first["type"] == "literal_error":
        hint = suggest(str(raw[key]), list(get_args(model.model_fields[key].annotation)))
    but = f"it is {shown(raw[key])}{ending(hint)}"
    return f"In `{where}`, key `{prefix}{key}` must be {_expected(model, key)}, but {but}"


def _expected(model: type[Table], key: str) -> str:
    field = model.model_fields[key]
    return field.description or one_of(list(get_args(field.annotation)))


def _unknown(where: str, key: str, prefix: str, known: list[str], kind: object = None) -> None:
    path = f"{prefix}{key}"
    homes = {f"{t}.{k}" for t, kinds in KINDS.items() for m in kinds.values() for k in m.model_fields if k == key}
    homes |= {f"{table}.{key}" for table, m in PLAIN.items() if key in m.model_fields}
    homes -= {path}
    hint = suggest(key, [k for k in known if k != "kind"], prefix)
    if not hint and homes:
        hint = f"did you mean `{sorted(homes)[0]}`?"
    hint = hint or f"known are {', '.join(k for k in known if k != 'kind') or 'none besides kind'}"
    for_kind = f' for kind "{kind}"' if kind is not None else ""
    sort = "key" if prefix else "table"
    raise NeurhoError(f"In `{where}`, {sort} `{path}` is not known{for_kind}{ending(hint)}")
