"""From parsed TOML to a `Config`, or to sentences on all that is wrong."""

import re
from collections.abc import Iterator, Set
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from neurho._types import Keys, Record
from neurho.config.messages import Refusal, Refusals, ending, one_of, require_none, shown, suggest
from neurho.config.schema import EXACT_BY_ITSELF, KINDS, NESTED, PLAIN, PULSES, Config, automatic_method
from neurho.config.string_networks import with_defaults
from neurho.config.units import in_units
from neurho.config.values import Index, Table

WRITTEN = frozenset({"matrices", "matrix"})
"""Kinds that programs write: no sentence offers them to people."""


def validate(data: Keys, where: str = "the problem") -> Config:
    """A `Config` from parsed TOML; `where` names it in error messages.

    **Raises** `NeurhoError`, with one sentence for each thing that is wrong: what tables must agree on is looked at
    once each of them is right by itself.
    """
    data = in_units(data, where)
    wrong: list[str] = []
    tables: Record = {}
    meant = set()
    for name, raw in sorted(data.items(), key=lambda item: item[0] == "task"):  # the task may depend on all others
        if name not in Config.model_fields:
            wrong.append(_unknown(name, "", list(Config.model_fields)))
            meant |= _meant(name, list(Config.model_fields))
        elif name == "seed":
            tables[name] = raw
        elif name == "pulses":
            tables[name] = _pulses(raw, wrong)
        else:
            tables[name] = _table(name, _with_method(raw, data, tables) if name == "task" else raw, wrong)
    if wrong:
        wrong += _wrong_seed(data)
        needed = [name for name, field in Config.model_fields.items() if field.is_required()]
        wrong += [f"the table [{name}] is missing." for name in needed if name not in data and name not in meant]
        require_none(where, wrong)
    try:
        return Config(**tables)
    except ValidationError as error:
        wrong += _sentences("", Config, error, data)
    require_none(where, wrong)
    raise AssertionError  # a problem that is refused has a sentence


def _with_method(raw: object, data: Keys, tables: Record) -> object:
    """The table [task] with a method, where there is no network and none, or "auto", is asked for."""
    lattice, model = tables.get("lattice"), tables.get("model")
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if isinstance(raw, dict):
        raw = with_defaults(raw, data.get("ansatz"))
    if not isinstance(raw, dict) or lattice is None or model is None or kind not in list(EXACT_BY_ITSELF):
        return raw
    asked, network = raw.get("method"), "ansatz" in data or "sampling" in data
    if asked == "auto" or (asked is None and not network):
        method, reason = automatic_method(lattice, model, str(kind), tables.get("initial"))
        return raw | {"method": method, "reason": reason}
    return raw


class _Seed(Table):
    seed: Index = 0


def _wrong_seed(data: Keys) -> list[str]:
    """What is wrong in the one key that stands in no table."""
    try:
        _Seed.model_validate({"seed": data.get("seed", 0)})
    except ValidationError as error:
        return list(_sentences("", _Seed, error, data))
    return []


def _hint(model: type[Table], prefix: str, key: str, given: Any) -> str:
    """What is meant by a value that cannot be, or ""."""
    parts = given.split(":") if isinstance(given, str) else []
    if len(parts) == 3:
        spaced = "equally spaced times are `task.points`, as in task.points=11"
        return spaced if key == "times" else "first:last:number is for `neurho sweep`"
    if isinstance(given, str) and re.fullmatch(r"[-+]?\d+,\d+", given):
        return f"numbers are written with a point, as in {given.replace(',', '.')}"
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if number and "three numbers" in _expected(model, key):
        return f"one of the three is `{prefix}{key}.0`, `{prefix}{key}.1` or `{prefix}{key}.2`"
    literals = [c for c in get_args(model.model_fields[key].annotation) if isinstance(c, str)]
    return suggest(str(given), literals) if literals else ""


def _table(name: str, raw: object, wrong: list[str]) -> Table | None:
    if not isinstance(raw, dict):
        wrong.append(f"`{name}` must be a table [{name}], but it is {shown(raw)}.")
        return None
    for key, implied in (("bloch", "product"), ("populations", "levels"), ("run", "state")):
        if name == "initial" and key in raw:
            raw = {"kind": implied, **raw}
    kind = PLAIN[name] if name in PLAIN else _kind(name, raw, KINDS[name], wrong)
    if kind is None:
        return None
    told = {key for key, model in NESTED.get(kind, {}).items() if _entries(f"{name}.{key}", model, raw.get(key), wrong)}
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        wrong += _sentences(f"{name}.", kind, error, raw, told)
    return None


def _pulses(raw: object, wrong: list[str]) -> dict[str, Table]:
    """The tables [pulses.NAME]."""
    if not isinstance(raw, dict):
        wrong.append(f"`pulses` must hold tables [pulses.NAME], but it is {shown(raw)}.")
        return {}
    found: dict[str, Table] = {}
    for name, entry in raw.items():
        path = f"pulses.{name}"
        if not name.isidentifier():
            wrong.append(f"`{path}` must have a name of letters and digits, but it has not.")
        elif not isinstance(entry, dict):
            wrong.append(f"`{path}` must be a table [{path}], but it is {shown(entry)}.")
        elif (kind := _kind(path, entry, PULSES, wrong)) is not None:
            try:
                found[name] = kind.model_validate(entry)
            except ValidationError as error:
                refused = _refusals(error.errors()[0])
                wrong += [f"{r.below(path)}." for r in refused] or _sentences(f"{path}.", kind, error, entry)
    return found


def _entries(path: str, model: type[Table] | dict[str, type[Table]], raw: object, wrong: list[str]) -> bool:
    """Check a list of tables one by one, so that a sentence can name the entry; whether one is wrong."""
    before = len(wrong)
    for number, entry in enumerate(raw if isinstance(raw, list) else []):
        if not isinstance(entry, dict):
            wrong.append(f"key `{path}[{number}]` must be a table, but it is {shown(entry)}.")
            continue
        one = _kind(f"{path}[{number}]", entry, model, wrong) if isinstance(model, dict) else model
        try:
            if one is not None:
                one.model_validate(entry)
        except ValidationError as error:
            wrong += _sentences(f"{path}[{number}].", one or Table, error, entry)
    return len(wrong) > before


def _kind(name: str, raw: Record, kinds: dict[str, type[Table]], wrong: list[str]) -> type[Table] | None:
    known = [kind for kind in kinds if kind not in WRITTEN]
    choices = one_of(known)
    if "kind" not in raw:
        wrong.append(f"key `{name}.kind` is missing; it must be {choices}.")
        return None
    given = raw["kind"]
    if not isinstance(given, str) or given not in kinds:
        hint = suggest(str(given), known)
        wrong.append(f"key `{name}.kind` must be {choices}, but it is {shown(given)}{ending(hint)}")
        return None
    return kinds[given]


def _sentences(
    prefix: str, model: type[Table], error: ValidationError, raw: Keys, told: Set[str] = frozenset()
) -> Iterator[str]:
    """One sentence for each key that is wrong, but for those of which all is `told`."""
    problems, known = error.errors(), list(model.model_fields)
    # A misspelt key is also a missing one: the spelling is what to say.
    strange = [str(p["loc"][0]) for p in problems if p["type"] == "extra_forbidden" and len(p["loc"]) == 1]
    done = set(told).union(*(_meant(key, known) for key in strange))
    for problem in sorted(problems, key=lambda p: p["type"] != "extra_forbidden"):
        if not problem["loc"]:
            yield from [f"{refusal}." for refusal in _refusals(problem)] or [f"{problem['msg']}."]
            continue
        key = str(problem["loc"][0])
        filled = key not in raw and problem["type"] != "missing"  # with what another key says, which is wrong as well
        if key in done or filled:
            continue
        done.add(key)
        if key in strange:
            yield _unknown(key, prefix, known, raw.get("kind"))
        elif problem["type"] == "missing" and key not in raw:
            there = f"key `{prefix}{key}` is missing; it must be {_expected(model, key)}."
            yield there if prefix else f"the table [{key}] is missing."
        else:
            but = f"it is {shown(raw[key])}{ending(_hint(model, prefix, key, raw[key]))}"
            yield f"key `{prefix}{key}` must be {_expected(model, key)}, but {but}"


def _refusals(problem: ErrorDetails) -> list[Refusal]:
    """What a check of several keys has found."""
    found = problem.get("ctx", {}).get("error")
    return list(found.found) if isinstance(found, Refusals) else [found] if isinstance(found, Refusal) else []


def _expected(model: type[Table], key: str) -> str:
    field = model.model_fields[key]
    return field.description or one_of(list(get_args(field.annotation)))


def _meant(key: str, known: list[str]) -> set[str]:
    """The key that a misspelt one stands for, if it is clear."""
    return {name for name in known if suggest(key, known) == f"did you mean `{name}`?"}


def _unknown(key: str, prefix: str, known: list[str], kind: object = None) -> str:
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
    return f"{sort} `{path}` is not known{for_kind}{ending(hint)}"
