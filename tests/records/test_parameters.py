"""Parameters of networks as .npz files: what is written is read back, and nothing else is read."""

import dataclasses
import io
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_inherit import problem, same, write
from typer.testing import CliRunner

import helpers
import neurho
import registry
from neurho import NeurhoError, cli
from neurho.matrix_elements.networks import AbstractAnsatz, Reevaluated, random_liouville, table_from_matrix
from neurho.matrix_elements.symmetry import number, parity
from neurho.model import lattice

RING = lattice.chain(3, periodic=True)
NETWORKS = {
    "RBM": lambda: helpers.network(0),
    "RBM in a sector": lambda: dataclasses.replace(helpers.network(0), charge=number()),
    "RBM of three levels": lambda: helpers.network(0, 2, local_dim=3),
    "RBM without units": lambda: helpers.network(0, hidden=0, mixing=0),
    "TiedRBM": lambda: helpers.tied_network(0, RING, charge=parity()),
    "LiouvilleRBM": lambda: random_liouville(jax.random.key(0), 3, hidden=2, mixing=2, charge=parity()),
    "NDM": lambda: helpers.neural_density_matrix(0),
    "Table": lambda: table_from_matrix(helpers.random_state(np.random.default_rng(0), 4), sites=2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_written_is_read_back(name, tmp_path):
    network, file = NETWORKS[name](), tmp_path / "network.npz"
    neurho.networks.save_parameters(file, network)
    found = neurho.networks.load_parameters(file)
    assert same(found, network)  # bit by bit
    assert eqx.tree_equal(found, network)  # the class, the sizes and the sector too
    assert [path.name for path in tmp_path.iterdir()] == ["network.npz"]


def test_numpy_alone_reads_the_file(tmp_path):
    network = helpers.network(0)
    neurho.networks.save_parameters(tmp_path / "network.npz", network)
    with np.load(tmp_path / "network.npz") as file:
        header = json.loads(str(file["header"]))
        np.testing.assert_array_equal(file["hidden_weights"], network.hidden_weights)
    assert (header["format"], header["version"], header["kind"]) == ("neurho parameters", 1, "RBM")
    assert header["arrays"]["hidden_weights"] == [2, 2, 3]
    assert header["settings"] == {"sites": 3, "local_dim": 2, "hermitian": True, "charge": None}
    assert header["parameters"] == neurho.networks.parameter_count(network)


class Flat(AbstractAnsatz):
    """The maximally mixed state."""

    scale: jnp.ndarray
    rest: object = eqx.field(static=True, default=None)
    sites: int = eqx.field(static=True, default=2)
    local_dim: int = eqx.field(static=True, default=2)
    hermitian: bool = eqx.field(static=True, default=True)

    def log_amplitude(self, x):
        return jnp.where(jnp.all(x % 3 == 0), 0.0, -jnp.inf) + 0j * self.scale

    def amplitudes(self):
        return Reevaluated(self)


def test_networks_of_ones_own(tmp_path):
    file = tmp_path / "flat.npz"
    neurho.networks.save_parameters(file, Flat(scale=jnp.ones(())))
    assert eqx.tree_equal(neurho.networks.load_parameters(file, kinds=[Flat]), Flat(scale=jnp.ones(())))
    with pytest.raises(
        NeurhoError, match=r"one of RBM, .*, NDM, GramHadamard, MPDO, GroupConvolution, Table, but it holds a 'Flat'"
    ):
        neurho.networks.load_parameters(file)
    with pytest.raises(NeurhoError, match="of its own, but its field `rest` is a list"):
        neurho.networks.save_parameters(file, Flat(scale=jnp.ones(()), rest=[1]))


def test_networks_of_modules(tmp_path):
    """An MLP of equinox.nn within an ansatz: its arrays by their paths, put back into one of the same make."""
    file, network = tmp_path / "deep.npz", registry.Perceptron.random(0)
    neurho.networks.save_parameters(file, network)
    with np.load(file) as content:
        np.testing.assert_array_equal(content["net.layers.1.bias"], network.net.layers[1].bias)
    assert eqx.tree_equal(neurho.networks.load_parameters(file, like=registry.Perceptron.random(1)), network)
    with pytest.raises(NeurhoError, match="with modules within it: give `like`, one of the same make"):
        neurho.networks.load_parameters(file)
    with pytest.raises(NeurhoError, match="`like` must be of the same make as the Perceptron in"):
        neurho.networks.load_parameters(file, like=registry.Perceptron.random(0, width=5))


def spoilt(file, **changes):
    """The bytes of a parameter file with other entries; None leaves one out, a dict changes the header."""
    with np.load(file) as content:
        entries = dict(content)
    header = json.loads(str(entries["header"])) | changes.pop("header", {})
    entries |= {"header": np.array(json.dumps(header))} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in entries.items() if value is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: f.read_bytes()[:-40], "is not a parameter file"),
        (lambda f: b"", "is not a parameter file"),
        (lambda f: b"[lattice]\n", "is not a parameter file"),
        (lambda f: spoilt(f, header={"format": "other"}), "is not a parameter file"),
        (lambda f: spoilt(f, header={"arrays": 3}), "is not a parameter file"),
        (lambda f: spoilt(f, header={"version": 2}), "of version 1, but its version is 2"),
        (lambda f: spoilt(f, header={"kind": "MPO"}), "but it holds a 'MPO'"),
        (lambda f: spoilt(f, visible=None), r"finite numbers of shape \(2, 3\) as `visible`"),
        (lambda f: spoilt(f, visible=np.full((2, 3), np.nan)), r"finite numbers of shape \(2, 3\) as `visible`"),
        (lambda f: spoilt(f, visible=np.array([["a"] * 3] * 2)), r"finite numbers of shape \(2, 3\) as `visible`"),
        (lambda f: spoilt(f, visible=np.zeros((2, 4))), r"finite numbers of shape \(2, 3\) as `visible`"),
        (lambda f: spoilt(f, header={"settings": {"sites": 5, "local_dim": 2}}), "their shapes do not fit"),
        (lambda f: spoilt(f, header={"settings": {"sites": "x"}}), "their shapes do not fit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_files_are_refused(spoil, sentence, tmp_path):
    file = tmp_path / "network.npz"
    neurho.networks.save_parameters(file, helpers.network(0))
    file.write_bytes(spoil(file))
    with pytest.raises(NeurhoError, match=sentence):
        neurho.networks.load_parameters(file)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(NeurhoError, match=r"none.npz` cannot be read: No such file"):
        neurho.networks.load_parameters(tmp_path / "none.npz")
    with pytest.raises(NeurhoError, match=r"x.npz` cannot be written: No such file"):
        neurho.networks.save_parameters(tmp_path / "none" / "x.npz", helpers.network(0))


def test_the_last_network_of_a_run(tmp_path):
    tied = helpers.tied_network(0, RING)
    path = write(tmp_path / "ring", problem(), tied)
    assert eqx.tree_equal(neurho.networks.last_network(path), dataclasses.replace(tied, charge=parity()))
    output = CliRunner().invoke(cli.app, ["export", path]).output
    assert eqx.tree_equal(neurho.networks.load_parameters(output.strip()), neurho.networks.last_network(path))
    assert Path(output.strip()) == tmp_path / "ring" / "parameters.npz"
    CliRunner().invoke(cli.app, ["export", path, str(tmp_path / "here.npz")])
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "ring" / "parameters.npz").read_bytes()
    ndm = helpers.neural_density_matrix(0, hidden=6)
    random = {"kind": "ndm", "hidden": 6, "mixing": 3}
    path = write(tmp_path / "ndm", problem(ansatz=random), ndm)
    assert eqx.tree_equal(neurho.networks.last_network(path), ndm)
    exact = problem(task={"kind": "stationary", "method": "exact"})
    with pytest.raises(NeurhoError, match=r"`run` must be a run of a network, but `.*exact` is exact"):
        neurho.networks.last_network(write(tmp_path / "exact", exact))
