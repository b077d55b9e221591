"""Random models and networks, and literal NumPy versions of the formulas, shared by the tests.

Most tests use three spins, two hidden and three mixing units: functions compiled by one test then serve the next.
"""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import qutip
import scipy.linalg

from neurho import interchange, models
from neurho.dynamics.flow import make_flow
from neurho.dynamics.integrate import DOPRI5, Method, StepControl, advance
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import NDM, RBM, TiedRBM
from neurho.model import lattice
from neurho.model.operators import Lindbladian, local, sm, sx, sy, total

# Tests compile much and compute little.
jax.config.update("jax_disable_most_optimizations", True)


def random_matrix(rng, size):
    return rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))


def random_state(rng, size):
    factor = random_matrix(rng, size)
    rho = factor @ factor.conj().T
    return rho / np.trace(rho)


def random_lindbladian(seed, sites, dim=2, *, widest=3):
    """Dense 1-, 2- and 3-site terms on permuted sites; jumps that are complex sums of terms on different sites."""
    rng = np.random.default_rng(seed)
    energies, jumps = [], []
    for k in range(1, min(sites, widest) + 1):
        places = rng.permutation(sites)[:k]
        matrix = random_matrix(rng, dim**k)
        energies.append(local(matrix + matrix.conj().T, places, local_dim=dim))
        jumps.append((rng.uniform(0.2, 1.0), 0.3 * local(random_matrix(rng, dim**k), places, local_dim=dim)))
    for i, j in itertools.pairwise(rng.permutation(sites)):
        one, other = (local(random_matrix(rng, dim), int(s), local_dim=dim) for s in (i, j))
        jumps.append((rng.uniform(0.2, 1.0), 0.4 * one + 0.5j * other))
    jumps += [(0.7, local(np.diag(np.ones(dim - 1), 1) * 1j, j, local_dim=dim)) for j in range(sites)]
    return Lindbladian(lattice.chain(sites), total(energies), jumps)


def label_index(sites, dim):
    """`index[x]` = (row, column) of configuration x, from the digits l_j = x_j // d, r_j = x_j % d, site 0 slowest."""
    rows, columns = [], []
    for x in itertools.product(range(dim**2), repeat=sites):
        row = column = 0
        for label in x:
            row, column = dim * row + label // dim, dim * column + label % dim
        rows.append(row)
        columns.append(column)
    return np.array(rows), np.array(columns)


def liouvillian(model):
    """The dense Lindbladian on labels, from QuTiP (which strings the columns of rho together)."""
    dense = qutip.liouvillian(*interchange.to_qutip(model)).full()
    rows, columns = label_index(model.sites, model.local_dim)
    order = rows + model.local_dim**model.sites * columns
    return dense[np.ix_(order, order)]


def configurations(sites, dim=2):
    """All configurations `(d^(2 sites), sites)`, site 0 slowest."""
    return np.array(list(itertools.product(range(dim**2), repeat=sites)), dtype=np.int32)


def network(seed, sites=3, *, hidden=2, mixing=3, scale=0.4, local_dim=2):
    """An RBM with normal parameters, without the compile time of `random_rbm`."""
    rng, features = np.random.default_rng(seed), sites * (local_dim - 1)
    shapes = ((2, features), (2, hidden), (2, hidden, features), (mixing,), (2, mixing, features))
    return RBM(*(jnp.asarray(scale * rng.normal(size=s)) for s in shapes), sites=sites, local_dim=local_dim)


def tied_network(seed, sites, *, alpha=2, alpha_m=1, scale=0.4, local_dim=2, charge=None):
    """A translation-invariant RBM with normal parameters."""
    rng, levels = np.random.default_rng(seed), local_dim - 1
    shapes = ((2, levels), (2, alpha), (2, alpha, sites.sites * levels), (alpha_m,), (2, alpha_m, sites.sites * levels))
    leaves = [jnp.asarray(scale * rng.normal(size=s)) for s in shapes]
    translations = jnp.asarray(sites.translations, dtype=jnp.int32)
    return TiedRBM(*leaves, translations, sites=sites.sites, local_dim=local_dim, charge=charge)


def neural_density_matrix(seed, sites=3, *, hidden=2, mixing=3, scale=0.4, local_dim=2):
    """An NDM with normal parameters."""
    rng, features = np.random.default_rng(seed), sites * (local_dim - 1)
    shapes = ((2, features), (2, hidden), (2, hidden, features), (mixing,), (2, mixing, features))
    return NDM(*(jnp.asarray(scale * rng.normal(size=s)) for s in shapes), sites=sites, local_dim=local_dim)


def log_cosh(z):
    """log cosh z for any z in the precision of `z`, from cosh z = exp(s z) (1 + exp(-2 s z))/2, s = sign Re z."""
    turned = np.where(z.real < 0, -z, z)
    return turned + np.log((1 + np.exp(-2 * turned)) / 2)


def features(local_dim):
    """Levels as rows: +1, -1 for spins, otherwise orthogonal cosines of mean square one (DCT-II)."""
    if local_dim == 2:
        return np.array([[1.0], [-1.0]])
    return np.array(
        [
            [np.sqrt(2) * np.cos(np.pi * n * (2 * m + 1) / (2 * local_dim)) for n in range(1, local_dim)]
            for m in range(local_dim)
        ]
    )


def log_rho(rbm, dtype=np.complex128):
    """Eq. 2 of PRL 122, 250502, literally, for all configurations in the order of `configurations`."""
    value = np.dtype(dtype).type
    a, b, w, u = (
        np.asarray(v[0], dtype) + value(1j) * np.asarray(v[1], dtype)
        for v in (rbm.visible, rbm.hidden_bias, rbm.hidden_weights, rbm.mixing_weights)
    )
    c = np.asarray(rbm.mixing_bias, dtype)
    level, d, x = features(rbm.local_dim).astype(dtype), rbm.local_dim, configurations(rbm.sites, rbm.local_dim)
    left, right = (level[digits].reshape(len(x), -1) for digits in (x // d, x % d))
    visible = left @ a + right @ a.conj()
    hidden = np.sum(log_cosh(b + left @ w.T) + log_cosh(b.conj() + right @ w.conj().T), axis=1)
    return visible + hidden + np.sum(log_cosh(2 * c + left @ u.T + right @ u.conj().T), axis=1)


def literal_table(rbm):
    """rho of all configurations from `log_rho`, largest modulus one."""
    values = log_rho(rbm)
    return np.exp(values - values.real.max())


def matrix_of(table, sites, dim=2):
    """A table over configurations as a density matrix of trace one."""
    rho = np.zeros((dim**sites,) * 2, dtype=complex)
    rho[label_index(sites, dim)] = table
    return rho / np.trace(rho)


@cache
def driven_chain():
    """Three driven, decaying spins with couplings: every kind of local term, correlated and mixed states."""
    return models.heisenberg(lattice.chain(3), field=(0.6, 0.1, 0.3), coupling=(0.5, 0.2, 0.4), decay=1.0)


@cache
def current_chain():
    """Three spins with complex matrix elements and a jump on two sites at once."""
    sites = lattice.chain(3, periodic=True)
    terms = [0.7 * (sx(i) * sy(j) - sy(i) * sx(j)) for i, j in ((0, 1), (1, 2), (2, 0))]
    jumps = [(1.0, sm(0)), (0.5, sm(1) + 0.6j * sm(2)), (0.8, sm(2)), (0.3, sx(0) * sm(1))]
    return Lindbladian(sites, total([*terms, 0.4 * sx(1)]), jumps)


@cache
def dense(make=driven_chain):
    """The Lindbladian of a model on labels, from QuTiP."""
    return liouvillian(make())


@cache
def chain_flow():
    """The flow of `driven_chain` by exact sums."""
    return make_flow(driven_chain(), method=Method(DOPRI5), tolerance=1e-4)


@cache
def generator(make=driven_chain):
    return lindbladian_map(make())


def move(tdvp, vector, restore, t, *, tolerance, dt=1e-2, t0=0.0, method=Method(DOPRI5)):  # noqa: B008
    """Follow a right-hand side by exact sums from t0 to t; the parameters there."""
    chains, key = tdvp.sampler.configurations[:0], jax.random.key(0)
    control = StepControl(tolerance=tolerance)

    def rhs(key, t, y, chains):
        return tdvp(key, jnp.asarray(t, dtype=float), restore(y), chains)

    now = t0
    while now < t:
        step, now, dt = advance(method, control, rhs, key, now, t, dt, vector, chains)
        vector = step.y
    return restore(vector)


def propagate(model, rho, t):
    """exp(L t) rho from SciPy and QuTiP."""
    rows, columns = label_index(model.sites, model.local_dim)
    out = np.zeros_like(rho)
    out[rows, columns] = scipy.linalg.expm(liouvillian(model) * t) @ rho[rows, columns]
    return out


def autoregression(seed, phi, draws, chains):
    """Stationary x_t = phi x_{t-1} + noise, `(draws, chains)`, mean 0, variance 1, tau = (1 + phi)/(1 - phi)."""
    rng = np.random.default_rng(seed)
    out = rng.normal(size=(draws, chains))
    for t in range(1, draws):
        out[t] = phi * out[t - 1] + np.sqrt(1 - phi**2) * out[t]
    return out
