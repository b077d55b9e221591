"""Documentation as tests: every block of Python in README.md and docs/ runs, one namespace for each file.

A block of TOML must be a whole problem file; it is checked against the schema and lies in the namespace as `problem`.
"""

from pathlib import Path
from typing import Any

import jax
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from neurho import config


def _check_problem(example: Example) -> None:
    example.namespace["problem"] = config.loads(example.parsed, where=f"{Path(example.path).name}:{example.line}")


def _begin(namespace: dict[str, Any]) -> None:
    # The systems are tiny: compiling takes longer than running, so let XLA do as little as it can.
    jax.config.update("jax_enable_x64", val=True)
    jax.config.update("jax_disable_most_optimizations", val=True)
    namespace["DOCS"] = Path(__file__).parent / "docs"


def _end(namespace: dict[str, Any]) -> None:
    jax.config.update("jax_disable_most_optimizations", val=False)
    namespace.clear()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="toml", evaluator=_check_problem)],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=_begin,
    teardown=_end,
).pytest()
