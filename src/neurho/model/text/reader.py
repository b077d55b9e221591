"""Reading an operator from text, with errors that point at the character."""

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NoReturn, TypeAlias

import numpy as np

from neurho._types import Coefficient, NeurhoError, Value, require
from neurho.model.operators import Operator, destroy, identity, local, sm, sp, spin, sx, sy, sz
from neurho.model.text.coefficients import FUNCTIONS, Moving, Scalar, called, combine, tidy
from neurho.model.text.sentences import named, plain, unknown_sign

LONGEST, LARGEST_POWER = 2000, 12
CONSTANTS = {"pi": math.pi, "t": Moving("t")}
PAULI: dict[str, Callable[[int], Operator]] = {"sx": sx, "sy": sy, "sz": sz, "sp": sp, "sm": sm}
LEVELS: dict[str, Callable[[int, int], Operator]] = {
    "Sx": lambda j, d: spin(j, 0, d),
    "Sy": lambda j, d: spin(j, 1, d),
    "Sz": lambda j, d: spin(j, 2, d),
    "Sp": lambda j, d: spin(j, 0, d) + 1j * spin(j, 1, d),
    "Sm": lambda j, d: spin(j, 0, d) - 1j * spin(j, 1, d),
    "a": destroy,
    "ad": lambda j, d: destroy(j, d).adjoint(),
    "n": lambda j, d: local(np.diag(np.arange(d)), j, local_dim=d),
}
OPERATORS = (*PAULI, *LEVELS, "proj", "trans", "dag")
"""Everything that makes an operator; see docs/how-to/custom_model.md."""

Values: TypeAlias = Mapping[str, "complex | Sequence[complex | Coefficient] | np.ndarray | Coefficient"]
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


@dataclass(frozen=True)
class Scope:
    """What names mean: `sites` (name to number), `values`; bare lists stand for their entry `item` of `items`. Names
    that are known `elsewhere` only come with a sentence.
    """

    local_dim: int = 2
    sites: Mapping[str, int] | None = None
    values: Values | None = None
    count: int | None = None
    item: int | None = None
    items: int = 0
    what: str = "items"
    elsewhere: Mapping[str, str] | None = None


def parse_operator(
    text: str,
    *,
    sites: Mapping[str, int] | None = None,
    values: Values | None = None,
    local_dim: int = 2,
) -> Operator:
    r"""An operator from text, for example `"0.5 * (sp(i) * sm(j) + sm(i) * sp(j))"`.

    ```python
    import neurho

    drive = neurho.parse_operator("omega * cos(2 * t) * sx(0)", values={"omega": 0.5})
    assert drive.to_sparse(1, t=0.0).toarray()[0, 1] == 0.5
    ```

    | text | meaning |
    |---|---|
    | `sx(i)`, `sy`, `sz`, `sp`, `sm` | Pauli and ladder matrices, only for `local_dim` 2 |
    | `Sx(i)`, `Sy`, `Sz`, `Sp`, `Sm` | spin operators of spin (d-1)/2; level 0 has m = +s |
    | `a(i)`, `ad(i)`, `n(i)` | truncated bosons; level k has k of them |
    | `proj(i, k)`, `trans(i, k, l)` | the matrices with a single 1, \|k><k\| and \|k><l\| |
    | `dag(X)` | the adjoint |
    | `+ - * / **` | sums, products (of operators: matrix products), whole powers of operators |
    | `sqrt exp sin cos tanh`, `pi`, `2j` | functions and constants |
    | `t` | time: its functions become time-dependent coefficients |
    | `J`, `h[i]` | values, and entries of lists of values |

    **Arguments**

    - `sites`: what the names of sites stand for, `{"i": 0, "j": 1}`; whole numbers stand for themselves. In
      arithmetic such a name is its number, so that `(-1)**i * sz(i)` is a staggered field.
    - `values`: numbers, functions of time, or lists of both by name.

    **Raises** `NeurhoError` with the character at which the text goes wrong.
    """
    return read_operator(parse(text), text, Scope(local_dim=local_dim, sites=sites, values=values))


def parse_number(text: str, *, sites: Mapping[str, int] | None = None, values: Values | None = None) -> Scalar:
    """A number, or a function of time, from text: as `parse_operator`, but without operators."""
    return read_number(parse(text), text, Scope(sites=sites, values=values))


def parse(text: str) -> ast.expr:
    """The syntax tree of an expression; nothing in it is known to make sense yet."""
    require(isinstance(text, str), "operator", "be a text", f"it is {text!r}")
    require(len(text) <= LONGEST, "operator", f"have at most {LONGEST} characters", f"it has {len(text)}")
    stripped = text.strip()
    if not stripped:
        raise NeurhoError("An operator must be written as text, as in `0.5 * sx(i) * sx(j)`, but the text is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of odd literals, which are refused below
            return ast.parse(text.replace("\n", " ").replace("\t", " ").lstrip(), mode="eval").body
    except SyntaxError as error:
        if not error.offset:
            raise NeurhoError(
                f"{named(text)} cannot be read at character {len(text) + 1}: it ends too early."
            ) from None
        place = error.offset + len(text) - len(text.lstrip())
        raise NeurhoError(f"{named(text)} cannot be read at character {place}: {plain(error.msg)}.") from None
    except (ValueError, RecursionError, MemoryError):
        raise NeurhoError(f"{named(text)} cannot be read: it has forbidden characters or too many brackets.") from None


def read_operator(tree: ast.expr, text: str, scope: Scope) -> Operator:
    """The operator of a parsed text; numbers become multiples of the identity."""
    value = _Reader(text, scope).checked(tree)
    if isinstance(value, Operator):
        return value.merged()
    return value * identity(scope.local_dim)  # pyright: ignore[reportReturnType]


def read_number(tree: ast.expr, text: str, scope: Scope) -> Scalar:
    """The number of a parsed text."""
    value = _Reader(text, scope).checked(tree)
    if isinstance(value, Operator):
        raise NeurhoError(f"{named(text)} must be a number, but it contains an operator.")
    return value


class _Reader:
    """Walks a syntax tree; only the nodes listed in `value` exist."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.text = text
        self.scope = scope

    def refuse(self, node: ast.AST, what: str) -> NoReturn:
        self.refuse_at(getattr(node, "col_offset", 0), what)

    def unknown_sign(self, left: ast.expr) -> NoReturn:
        """An operation that is not known, at its sign: behind the left side and its brackets."""
        self.refuse_at(*unknown_sign(self.line(), left.end_col_offset or 0))

    def line(self) -> str:
        """The text as it was parsed."""
        return self.text.replace("\n", " ").replace("\t", " ").lstrip()

    def refuse_at(self, offset: int, what: str) -> NoReturn:
        """Refuse what stands `offset` bytes behind the first character."""
        ahead = self.line().encode()[:offset].decode(errors="ignore")
        place = len(self.text) - len(self.text.lstrip()) + len(ahead) + 1
        raise NeurhoError(
            f"{named(self.text)} cannot be read at character {place}: {what}{'' if what.endswith('?') else '.'}"
        )

    def checked(self, node: ast.expr) -> Operator | Scalar:
        """The value of the whole text, which must be finite."""
        try:
            with np.errstate(all="ignore"):  # what overflows is refused below
                value = self.value(node)
        except RecursionError:
            raise NeurhoError(f"{named(self.text)} cannot be read: it has too many brackets.") from None
        self.require_finite(node, value)
        return value

    def value(self, node: ast.expr) -> Operator | Scalar:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, int | float | complex) and not isinstance(node.value, bool):
                try:
                    return node.value if isinstance(node.value, complex) else float(node.value)
                except OverflowError:
                    self.refuse(node, "the number is too large")
            self.refuse(node, f"`{node.value!r}` is no number")
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.Subscript):
            return self.entry(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self.value(node.operand)
            if isinstance(node.op, ast.UAdd):
                return inner
            return -inner if isinstance(inner, Operator) else combine("*", -1.0, inner)
        if isinstance(node, ast.BinOp):
            return self.binary(node) if type(node.op) in _BINARY else self.unknown_sign(node.left)
        if isinstance(node, ast.Compare | ast.BoolOp | ast.IfExp):
            sides = {ast.Compare: "left", ast.IfExp: "body"}
            self.unknown_sign(node.values[0] if isinstance(node, ast.BoolOp) else getattr(node, sides[type(node)]))
        if isinstance(node, ast.Call):
            return self.call(node)
        return self.refuse(node, "only numbers, names, operators of sites, brackets and + - * / ** are known")

    def name(self, node: ast.Name) -> Scalar:
        values, sites = self.scope.values or {}, self.scope.sites or {}
        if node.id in sites:
            return float(sites[node.id])
        if node.id in values:
            return self.plain_value(node, node.id)
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        if node.id in OPERATORS or node.id in FUNCTIONS:
            self.refuse(node, f"`{node.id}` needs its argument in brackets, as in `{node.id}(i)`")
        return self.unknown(node, node.id, [*sites, *values, *CONSTANTS, *OPERATORS, *FUNCTIONS])

    def plain_value(self, node: ast.AST, name: str) -> Scalar:
        value: Value = (self.scope.values or {})[name]
        if callable(value):
            return called(value, name)
        if np.ndim(value) == 0:
            return tidy(value)
        scope = self.scope
        if scope.item is None or len(value) != scope.items:
            there = f"there are {scope.items} {scope.what}" if scope.item is not None else "it is used as one"
            self.refuse(node, f"`{name}` has {len(value)} values, but {there}; take one entry with `{name}[...]`")
        return _entry(value, scope.item, name)

    def entry(self, node: ast.Subscript) -> Scalar:
        values = self.scope.values or {}
        if not isinstance(node.value, ast.Name):
            self.refuse(node, "only a list of values can have an index")
        if node.value.id not in values:
            self.unknown(node.value, node.value.id, list(values))
        array: Value = values[node.value.id]
        if callable(array) or np.ndim(array) != 1:
            self.refuse(node, f"`{node.value.id}` is one number and has no entries")
        index = self.whole(node.slice, "an index")
        if not 0 <= index < len(array):
            self.refuse(node.slice, f"`{node.value.id}` has the entries 0..{len(array) - 1}, but the index is {index}")
        return _entry(array, index, node.value.id)

    def binary(self, node: ast.BinOp) -> Operator | Scalar:
        left, right, sign = self.value(node.left), self.value(node.right), _BINARY[type(node.op)]
        if isinstance(right, Operator) and sign in ("/", "**"):
            self.refuse(node.right, f"an operator cannot stand behind `{sign}`")
        if sign == "**" and isinstance(left, Operator):
            power = self.whole(node.right, "the power of an operator")
            if not 0 <= power <= LARGEST_POWER:
                self.refuse(node.right, f"the power of an operator must lie in 0..{LARGEST_POWER}, but it is {power}")
            return reduce(lambda a, b: (a @ b).merged(), [left] * power, identity(self.scope.local_dim))
        if not isinstance(left, Operator) and not isinstance(right, Operator):
            return self.scalar(node.right, sign, left, right)
        if sign == "/":
            return left * self.scalar(node.right, "/", 1.0, right)  # pyright: ignore[reportOperatorIssue, reportArgumentType]
        left, right = self.lifted(left, sign), self.lifted(right, sign)
        self.require_narrow(node, left, right)
        try:
            return _apply(sign, left, right)
        except NeurhoError as error:
            return self.refuse(node, str(error).rstrip("."))

    def lifted(self, value: Operator | Scalar, sign: str) -> Operator | Scalar:
        """In sums a function of time stands for a multiple of the identity."""
        return value * identity(self.scope.local_dim) if sign in "+-" and isinstance(value, Moving) else value  # pyright: ignore[reportReturnType, reportOperatorIssue]

    def require_narrow(self, node: ast.AST, *factors: Operator | Scalar) -> None:
        """Refuse a product on so many sites that its matrix would be huge."""
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
            return
        widths = [max((len(t.sites) for t in f.terms), default=0) for f in factors if isinstance(f, Operator)]
        if self.scope.local_dim ** sum(widths) > 1024 and len(set().union(*(_support(f) for f in factors))) > 4:
            self.refuse(node, f"a product acts on up to {sum(widths)} sites, which is not local")

    def scalar(self, node: ast.AST, sign: str, *arguments: Scalar) -> Scalar:
        try:
            value = combine(sign, *arguments)
        except ZeroDivisionError:
            self.refuse(node, "this divides by zero")
        except OverflowError:
            self.refuse(node, "the number is too large")
        self.require_finite(node, value)
        return value

    def require_finite(self, node: ast.AST, value: Operator | Scalar) -> None:
        if isinstance(value, int | float | complex) and not np.isfinite(value):
            self.refuse(node, "the number is not finite")
        if isinstance(value, Operator) and not all(np.all(np.isfinite(term.matrix)) for term in value.terms):
            self.refuse(node, "the operator has entries that are not finite")

    def call(self, node: ast.Call) -> Operator | Scalar:
        if not isinstance(node.func, ast.Name):
            self.refuse(node, "only a name can stand before brackets")
        name = node.func.id
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            self.refuse(node, f"`{name}` takes plain arguments only")
        if name in FUNCTIONS:
            self.arguments(node, name, 1)
            inner = self.value(node.args[0])
            if isinstance(inner, Operator):
                self.refuse(node.args[0], f"`{name}` takes a number, but this is an operator")
            return self.scalar(node, name, inner)
        if name == "dag":
            self.arguments(node, name, 1)
            inner = self.value(node.args[0])
            if not isinstance(inner, Operator):
                self.refuse(node.args[0], "`dag` takes an operator, but this is a number")
            return inner.adjoint()
        if name not in OPERATORS:
            return self.unknown(node.func, name, [*OPERATORS, *FUNCTIONS])
        return self.one_site(node, name)

    def one_site(self, node: ast.Call, name: str) -> Operator:
        """A named operator on the site given by the first argument."""
        d = self.scope.local_dim
        if name in ("proj", "trans"):
            self.arguments(node, name, 2 if name == "proj" else 3)
            levels = [self.level(argument) for argument in node.args[1:]]
            matrix = np.zeros((d, d))
            matrix[levels[0], levels[-1]] = 1.0
            return local(matrix, self.site(node.args[0]), local_dim=d)
        self.arguments(node, name, 1)
        if name in PAULI and d != 2:
            but = f"spins 1/2, but sites have {d} levels; take `{name.capitalize()}` or `a`, `ad`, `n`"
            self.refuse(node, f"`{name}` is for {but}")
        site = self.site(node.args[0])
        return PAULI[name](site) if name in PAULI else LEVELS[name](site, d)

    def arguments(self, node: ast.Call, name: str, count: int) -> None:
        if len(node.args) != count:
            self.refuse(node, f"`{name}` takes {count} argument{'s'[: count != 1]}, but here are {len(node.args)}")

    def site(self, node: ast.expr) -> int:
        site, count = self.whole(node, "a site"), self.scope.count
        if site < 0 or (count is not None and site >= count):
            there = f"0..{count - 1}" if count is not None else "0, 1, 2, ..."
            self.refuse(node, f"sites are {there}, but this is {site}")
        return site

    def level(self, node: ast.expr) -> int:
        level = self.whole(node, "a level")
        if not 0 <= level < self.scope.local_dim:
            self.refuse(node, f"levels are 0..{self.scope.local_dim - 1}, but this is {level}")
        return level

    def whole(self, node: ast.expr, what: str) -> int:
        value = self.value(node)
        if isinstance(value, Operator | Moving | complex) or value != int(value):
            self.refuse(node, f"{what} must be a whole number or the name of a site")
        return int(value)

    def unknown(self, node: ast.AST, name: str, known: Sequence[str]) -> NoReturn:
        if name in (self.scope.elsewhere or {}):
            self.refuse(node, f"`{name}` {self.scope.elsewhere[name]}")  # pyright: ignore[reportOptionalSubscript]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(known)}"
        self.refuse(node, f"`{name}` is not known{hint}")


def _apply(sign: str, left: Value, right: Value) -> Operator:
    return (left + right if sign == "+" else left - right if sign == "-" else left * right).merged()


def _support(value: Operator | Scalar) -> set[int]:
    return set(value.support) if isinstance(value, Operator) else set()


def _entry(values: Sequence[complex | Coefficient] | np.ndarray, index: int, name: str) -> Scalar:
    """One of a list of numbers and functions of time; a function is called by the first place at which it stands."""
    value = values[index]
    return called(value, f"{name}[{list(values).index(value)}]") if callable(value) else tidy(value)
