"""Problem files: reading, changing with `--set`, and writing back with all defaults resolved."""

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

from neurho._types import Keys, NeurhoError, Record, brief
from neurho.config.messages import ending, shown, suggest
from neurho.config.modules import with_module
from neurho.config.pulses import with_tables
from neurho.config.schema import KINDS, PLAIN, Config
from neurho.config.tasks import CHOSEN, SOLVER_DEFAULTS, WITHOUT_NETWORK, unused
from neurho.config.validation import validate


def load(source: str | Path, overrides: Iterable[str] | Keys = ()) -> Config:
    """The problem in a TOML file, or the shipped problem of that name.

    ```python
    import neurho

    ring = neurho.load("fig2", {"task.t": 0.1, "ansatz.hidden": 10})
    assert ring.task.t == 0.1 and ring.sites == 5
    ```

    `overrides` are texts ``"task.t=2.0"``, or values by key, applied before anything is checked. One that changes a
    `kind`, `method` or `solver` also takes out the keys of its table that the new choice does not know; from or to a
    method without a network also those that mean something else there, such as `tolerance`.

    **Raises** `NeurhoError`: a sentence with the file, the key, what it is and what it must be, for all that is wrong.
    """
    if not isinstance(source, str | Path):
        must = "the path of a TOML file or the name of a shipped problem"
        raise NeurhoError(f"Argument `source` must be {must}, but it is {brief(source)}.")
    if isinstance(overrides, str):
        overrides = [overrides]
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={value if isinstance(value, str) else _toml(value)}" for key, value in overrides.items()]
    text, where = _read(source)
    data, folder = _parse(text, where), Path(source).parent
    overrides = list(overrides)
    if overrides:
        data = _override(data, overrides, where)
        where = f"{where} with " + " ".join(f"--set {item}" for item in overrides)
    return validate(_with_files(data, folder, where), where)


def loads(text: str, where: str = "the problem") -> Config:
    """The problem in a TOML text; `where` names it in error messages. Files are looked for in the current folder."""
    return validate(_with_files(_parse(text, where), Path(), where), where)


def _with_files(data: Record, folder: Path, where: str) -> Record:
    """Problem data with what the files that it names say."""
    return with_module(with_tables(data, folder, where), folder, where)


def dumps(config: Config) -> str:
    """The problem as TOML, with every default written out; `loads(dumps(config)) == config`."""
    lines = []
    for name, table in config.model_dump(mode="json", exclude_none=True).items():
        if not isinstance(table, dict):
            lines.append(f"{name} = {json.dumps(table)}")
            continue
        kind = {"kind": table["kind"]} if "kind" in table else {}
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in (kind | table).items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML; numbers, flags and plain strings are written as in JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else json.dumps(value)


def fingerprint(config: Config) -> str:
    """Sixteen hexadecimal digits that tell problems apart; [output], which changes no number, is left out."""
    return hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:16]


def identity(config: Config) -> Record:
    """What a problem says beyond defaults: a new key with a default leaves runs of earlier versions what they are.

    Without what no number depends on: [output], and why `method = "auto"` has taken a method.
    """
    out: Any = {"output": True, "task": {"reason"}}
    return config.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude=out)


def shipped() -> dict[str, str]:
    """Names of the problems inside the package, each with the first comment line of its file."""
    found = {}
    for file in sorted(resources.files("neurho").joinpath("problems").iterdir(), key=lambda file: Path(file.name).stem):
        if file.name.endswith(".toml"):
            first = file.read_text(encoding="utf-8").partition("\n")[0]
            found[file.name.removesuffix(".toml")] = first.removeprefix("#").strip()
    return found


def problem_name(source: str | Path) -> str:
    """A short name for run directories: the file's name without its ending."""
    return Path(source).stem if str(source).endswith(".toml") else Path(source).name


def _read(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8"), str(source)
        if path.is_dir():
            raise NeurhoError(f"A problem must be a TOML file or a shipped name, but `{source}` is a directory.")
    except UnicodeDecodeError:
        raise NeurhoError(f"A problem must be a TOML file in UTF-8, but `{source}` is not text.") from None
    except OSError as error:
        raise NeurhoError(f"The problem `{source}` cannot be read: {error.strerror}.") from None
    names = list(shipped())
    if str(source) in names:
        file = resources.files("neurho").joinpath("problems", f"{source}.toml")
        return file.read_text(encoding="utf-8"), str(source)
    beside = [str(file) for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    hint = suggest(str(source), [*names, *beside]) or f"shipped are {', '.join(names)}"
    raise NeurhoError(f"There is no problem file and no shipped problem `{source}`{ending(hint)}")


def _parse(text: str, where: str) -> Record:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NeurhoError(f"In `{where}`, the TOML is not valid: {error}.") from None


def _override(data: Record, overrides: list[str], where: str) -> Record:
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    method = _method(data)
    given: dict[str, set[str]] = {}
    wrong: list[str] = []
    for item in overrides:
        try:
            _change(data, given, item, where)
        except NeurhoError as error:
            wrong.append(str(error))
    if wrong:
        raise NeurhoError("\n  ".join(wrong))
    for one, other in (("times", "points"), ("points", "times")):
        if {one} == given.get("task", set()) & {"times", "points"}:
            data["task"].pop(other, None)
    told = given.get("task", set())
    if "method" in told and _method(data) != method and {_method(data), method} & WITHOUT_NETWORK:
        # `tolerance`, `dt` or `cutoff` of one of them is no such thing of the other
        data["task"] = {k: v for k, v in data["task"].items() if k in told or k not in CHOSEN}
    for table, keys in given.items():
        if keys & {"kind", "method", "solver"}:
            data[table] = {k: v for k, v in data[table].items() if k in keys or _applies(table, k, data[table])}
    return data


def _method(data: Keys) -> str | None:
    """The method that a problem asks for, if it names one."""
    task = data.get("task")
    return str(task["method"]) if isinstance(task, Mapping) and "method" in task else None


def _change(data: Record, given: dict[str, set[str]], item: str, where: str) -> None:
    """Make one change, and note in `given` which key of which table it is about."""
    path, equals, text = (part.strip() for part in item.partition("="))
    table, dot, rest = path.partition(".")
    key, *deeper = rest.split(".")
    if not equals or not all(path.split(".")):
        must = "key=value without spaces, as in --set task.t=1.0"
        raise NeurhoError(f"A change of the problem must be {must}, but it is `{item}`.")
    value = _value(text)
    if not dot:
        data[path] = value
        return
    if not isinstance(data.setdefault(table, {}), dict):
        raise NeurhoError(f"In `{where}`, `{table}` must be a table, but it is {shown(data[table])}.")
    if deeper:
        whole = copy.deepcopy(data[table][key]) if key in data[table] else _default(data, table, key)
        value = _replaced(whole, deeper, value, f"{table}.{key}", where)
    data[table][key] = value
    given.setdefault(table, set()).add(key)


def _value(text: str) -> Any:
    """A value as TOML; names need no quotes on a command line, and numbers no digit on either side of the point."""
    for attempt in (text, re.sub(r"(?<![\w.])\.(?=\d)", "0.", re.sub(r"(?<=\d)\.(?![\w.])", ".0", text))):
        with suppress(tomllib.TOMLDecodeError):
            return tomllib.loads(f"value = {attempt}")["value"]
    return text


def _default(data: Record, table: str, key: str) -> Any:
    """The default of a key, as TOML would hold it; None if there is none."""
    kind = PLAIN.get(table) or KINDS.get(table, {}).get(str(data[table].get("kind")))
    field = kind.model_fields.get(key) if kind is not None else None
    return None if field is None or field.is_required() else json.loads(json.dumps(field.default, default=str))


def _replaced(whole: Any, path: list[str], value: Any, name: str, where: str) -> Any:
    """`whole` with its entry at `path` (indices of lists, keys of tables) replaced."""
    step, *deeper = path
    if isinstance(whole, list) and step.isdecimal() and int(step) < len(whole):
        place: Any = int(step)
    elif isinstance(whole, dict) and (step in whole or not deeper):
        place = step
    else:
        raise NeurhoError(f"In `{where}`, `--set` cannot change `{name}.{step}`: `{name}` is {shown(whole)}.")
    whole[place] = _replaced(whole[place], deeper, value, f"{name}.{step}", where) if deeper else value
    return whole


def _applies(table: str, key: str, data: Keys) -> bool:
    kind = KINDS.get(table, {}).get(str(data.get("kind")))
    method, solver = data.get("method"), str(data.get("solver", "ridge"))
    if kind is None:
        return True
    used = not isinstance(method, str) or solver not in SOLVER_DEFAULTS or unused(key, method, solver) is None
    always = key not in CHOSEN
    return key in kind.model_fields and (always or used)
