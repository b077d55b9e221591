"""Parameters of a network as one `.npz` file that NumPy alone can read.

The file holds each array of the network under its name (of modules within it under the path, as in
`net.layers.0.weight`), and under `header` a line of JSON:

    format, version    "neurho parameters", 1           neurho       the version that wrote it
    kind               the class, e.g. "RBM"            parameters   number of real parameters
    arrays             name -> shape                    settings     sites, local_dim, hermitian, charge, ...
"""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from neurho._types import NeurhoError
from neurho.matrix_elements.networks import (
    MPDO,
    NDM,
    RBM,
    AbstractAnsatz,
    GramHadamard,
    GroupConvolution,
    LiouvilleRBM,
    Recipe,
    Table,
    TiedRBM,
    network_of,
    parameter_count,
)
from neurho.matrix_elements.networks.base import Network
from neurho.matrix_elements.symmetry import Charge
from neurho.records.files import Record, disk, replace

FORMAT, VERSION = "neurho parameters", 1
KINDS: tuple[type[AbstractAnsatz], ...] = (
    RBM,
    TiedRBM,
    LiouvilleRBM,
    NDM,
    GramHadamard,
    MPDO,
    GroupConvolution,
    Table,
)


def save_parameters(path: str | Path, ansatz: Network) -> None:
    """Write the parameters of a network to a `.npz` file, in one step: a reader never meets half a file.

    `numpy.load(path)` gives the arrays by name; `json.loads(str(numpy.load(path)["header"]))` says what they are.

    Modules within the network, such as those of `equinox.nn`, are written with it.

    ```python
    import tempfile
    from pathlib import Path
    import jax
    import neurho

    file = Path(tempfile.mkdtemp()) / "network.npz"
    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    neurho.networks.save_parameters(file, network)
    assert file.exists()
    ```

    **Raises** `NeurhoError` if the file cannot be written, or for a field that is neither array, number, text nor made
    of arrays.
    """
    ansatz = network_of(ansatz)
    arrays: dict[str, np.ndarray] = {}
    settings: Record = {}
    nested = False
    for field in dataclasses.fields(ansatz):
        value = getattr(ansatz, field.name)
        if eqx.is_array(value):
            arrays[field.name] = np.asarray(value)
        elif parts := _arrays_within(field.name, value):
            arrays |= parts
            nested = True
        elif isinstance(value, Recipe):
            nested = True  # how arrays are put together is code, which `like` has
        elif isinstance(value, Charge):
            settings[field.name] = {"charge": value._asdict()}
        elif value is None or isinstance(value, bool | int | float | str):
            settings[field.name] = value
        else:
            raise NeurhoError(
                f"Argument `ansatz` must hold arrays, numbers and texts of its own, but its field `{field.name}` is a "
                f"{type(value).__name__}."
            )
    header = {
        "format": FORMAT,
        "version": VERSION,
        "neurho": metadata.version("neurho"),
        "kind": type(ansatz).__name__,
        "parameters": parameter_count(ansatz),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "settings": settings,
    } | ({"nested": True} if nested else {})
    buffer = io.BytesIO()
    content: Record = {"header": np.array(json.dumps(header)), **arrays}
    np.savez(buffer, **content)
    replace(Path(path), buffer.getvalue())


def load_parameters(
    path: str | Path, *, kinds: Sequence[type[AbstractAnsatz]] = (), like: AbstractAnsatz | None = None
) -> AbstractAnsatz:
    """The network in a file of `save_parameters`.

    ```python
    import tempfile
    from pathlib import Path
    import jax
    import neurho

    file = Path(tempfile.mkdtemp()) / "network.npz"
    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    neurho.networks.save_parameters(file, network)
    assert neurho.networks.load_parameters(file).sites == 2
    ```

    **Arguments**

    - `kinds`: classes of your own that the file may hold, besides those of this library.
    - `like`: a network of the same make, whose arrays are replaced; needed where there are modules within it, of which
      the file has the arrays and not how they are put together.

    **Raises** `NeurhoError` for a file of another kind or version, and for arrays that do not fit together.
    """
    path = Path(path)
    header, arrays = _read(path)
    if like is not None:
        return _filled(path, header, arrays, like)
    kind = header["kind"]
    if header.get("nested"):
        raise NeurhoError(f"`{path}` holds a {kind} with modules within it: give `like`, one of the same make.")
    known = {kind.__name__: kind for kind in (*KINDS, *kinds)}
    if header["kind"] not in known:
        raise NeurhoError(f"`{path}` must hold one of {', '.join(known)}, but it holds a {header['kind']!r}.")
    for name, shape in header["arrays"].items():
        array = arrays.get(name, np.array("missing"))
        if array.dtype.kind not in "iuf" or list(array.shape) != shape or not np.all(np.isfinite(array)):
            must = f"hold finite numbers of shape {tuple(shape)} as `{name}`"
            raise NeurhoError(f"`{path}` must {must}, but it does not.")
    settings = {name: _setting(value) for name, value in header["settings"].items()}
    try:
        ansatz = known[header["kind"]](**{name: jnp.asarray(arrays[name]) for name in header["arrays"]}, **settings)
        one = jax.ShapeDtypeStruct((ansatz.sites,), jnp.int32)
        eqx.filter_eval_shape(lambda a, x: a.log_amplitude(x), ansatz, one)
    except (TypeError, ValueError, AttributeError, IndexError):
        raise NeurhoError(f"The arrays in `{path}` do not make a {header['kind']}: their shapes do not fit.") from None
    return ansatz


def _arrays_within(name: str, value: PyTree) -> dict[str, np.ndarray]:
    """The arrays of a module or container by their paths; {} for anything else."""
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(value, eqx.is_array))[0]
    return {_path_of(name, path): np.asarray(leaf) for path, leaf in leaves if path}


def _path_of(name: str, path: Sequence[object]) -> str:
    return ".".join([name, *(jax.tree_util.keystr((key,), simple=True) for key in path)])


def _filled(path: Path, header: Record, arrays: Mapping[str, np.ndarray], like: AbstractAnsatz) -> AbstractAnsatz:
    """`like` with the arrays of a file."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(eqx.filter(like, eqx.is_array))
    names = [_path_of("", key).lstrip(".") for key, _ in leaves]
    shapes = {name: list(leaf.shape) for name, (_, leaf) in zip(names, leaves, strict=True)}
    kind = header["kind"]
    if kind != type(like).__name__ or header["arrays"] != shapes:
        raise NeurhoError(f"Argument `like` must be of the same make as the {kind} in `{path}`, but it is not.")
    filled = jax.tree_util.tree_unflatten(tree, [jnp.asarray(arrays[name]) for name in names])
    return eqx.combine(filled, like)


def _read(path: Path) -> tuple[Record, dict[str, np.ndarray]]:
    """Header and arrays of a file, if it is one of ours."""
    with disk(path, "read"):
        data = path.read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = dict(json.loads(str(arrays.pop("header"))))
        found = (header["format"], header["version"])
        complete = isinstance(header["arrays"], dict) and isinstance(header["settings"], dict) and "kind" in header
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        complete, found, header, arrays = False, ("", 0), {}, {}
    if not complete or found[0] != FORMAT:
        raise NeurhoError(f"`{path}` is not a parameter file: write one with `neurho export DIR FILE.npz`.")
    if found[1] != VERSION:
        raise NeurhoError(f"`{path}` must be a parameter file of version {VERSION}, but its version is {found[1]}.")
    return header, arrays


def _setting(value: Any) -> Any:
    if isinstance(value, dict) and "charge" in value:
        charge = value["charge"]
        return Charge(charge["name"], tuple(charge["values"]), charge["modulus"])
    return value
