"""Open systems with a solution on paper: the Lindbladian, the initial Bloch vector and the means at time t.

Pauli matrices, hbar = 1, dissipator gamma (c rho c^+ - {c^+ c, rho}/2). An observable obeys the adjoint equation
d<X>/dt = i <[H, X]> + sum_j gamma_j <c_j^+ X c_j - {c_j^+ c_j, X}/2>, from which everything below follows. Products
used throughout: sigma^x sigma^y = i sigma^z and cyclic; the dissipators act on one spin as

    c = sigma^-, rate g:  sigma^x, sigma^y -> -g/2 sigma^x, sigma^y;   sigma^z -> -g (1 + sigma^z)
    c = sigma^+, rate p:  sigma^x, sigma^y -> -p/2 sigma^x, sigma^y;   sigma^z -> +p (1 - sigma^z)
    c = sigma^z, rate k:  sigma^x, sigma^y -> -2k sigma^x, sigma^y;    sigma^z -> 0
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg

from neurho import models
from neurho.model import lattice
from neurho.model.operators import Jump, Lindbladian, sm, sx, sy, sz, total


class Solvable(NamedTuple):
    """A system whose means at time t, by the names of `neurho.exact.expectations`, are known."""

    lindbladian: Lindbladian
    bloch: tuple
    means: Callable[[float], dict]
    stationary: dict


def free_spins() -> Solvable:
    """Three uncoupled spins in a field B along z with decay g, pump p and dephasing k.

    H = B sigma^z: i[H, sigma^x] = -2B sigma^y and i[H, sigma^y] = 2B sigma^x, hence with m = <sigma^x> + i <sigma^y>

        m(t) = m(0) exp(2iBt - (g + p)t/2 - 2kt)
        z(t) = z_oo + (z(0) - z_oo) exp(-(g + p)t),   z_oo = (p - g)/(p + g).

    The state stays a product: two-point functions are products of means and the purity is [(1 + |r|^2)/2]^3.
    """
    field, decay, pump, dephasing, start = 0.7, 1.0, 0.3, 0.2, (0.6, -0.3, 0.5)
    model = models.heisenberg(lattice.chain(3), field=(0, 0, field), decay=decay, pump=pump, dephasing=dephasing)
    rest = (pump - decay) / (pump + decay)

    def means(t: float) -> dict:
        m = complex(*start[:2]) * np.exp((2j * field - (decay + pump) / 2 - 2 * dephasing) * t)
        z = rest + (start[2] - rest) * np.exp(-(decay + pump) * t)
        r = {"x": m.real, "y": m.imag, "z": z}
        squares = {f"s{a}s{a}": v**2 for a, v in r.items()} | {f"structure_{a}{a}": v**2 for a, v in r.items()}
        purity = ((1 + abs(m) ** 2 + z**2) / 2) ** 3
        return {f"s{a}": v for a, v in r.items()} | squares | {"energy": 3 * field * z, "purity": purity}

    end = {"sx": 0.0, "sy": 0.0, "sz": rest, "szsz": rest**2, "purity": ((1 + rest**2) / 2) ** 3}
    return Solvable(model, start, means, end)


def driven_spin() -> Solvable:
    """One spin, H = W sigma^x + D sigma^z, decay g: the optical Bloch equations.

        x' = -2D y - g/2 x,    y' = 2D x - 2W z - g/2 y,    z' = 2W y - g (1 + z)

    from i[sigma^z, sigma^x] = -2 sigma^y and cyclic. Setting the derivatives to zero: x = -4D y/g, then
    y (g^2 + 16 D^2) = -4 W g z, and z = -(g^2 + 16 D^2)/(g^2 + 16 D^2 + 8 W^2). In time the affine 3 x 3 system is
    solved by the matrix exponential of its 4 x 4 homogeneous form.
    """
    drive, detuning, decay, start = 0.8, 0.35, 1.3, (0.1, 0.4, 0.6)
    model = models.heisenberg(lattice.chain(1), field=(drive, 0, detuning), decay=decay)
    flow = np.array(
        [
            [-decay / 2, -2 * detuning, 0, 0],
            [2 * detuning, -decay / 2, -2 * drive, 0],
            [0, 2 * drive, -decay, -decay],
            [0, 0, 0, 0],
        ]
    )

    def means(t: float) -> dict:
        x, y, z, _ = scipy.linalg.expm(flow * t) @ [*start, 1.0]
        return {
            "sx": x,
            "sy": y,
            "sz": z,
            "energy": drive * x + detuning * z,
            "purity": (1 + x * x + y * y + z * z) / 2,
        }

    width = decay**2 + 16 * detuning**2
    z = -width / (width + 8 * drive**2)
    y = -4 * drive * decay * z / width
    return Solvable(model, start, means, {"sx": -4 * detuning * y / decay, "sy": y, "sz": z})


def dephasing_pair() -> Solvable:
    """Two spins, H = J sigma^z sigma^z, dephasing k, from |+x +x>.

    i[H, sigma^x_1] = -2J sigma^y_1 sigma^z_2 and i[H, sigma^y_1 sigma^z_2] = 2J sigma^x_1, both damped at 2k, so that
    <sigma^x_1> = exp(-2kt) cos(2Jt). sigma^x sigma^x and sigma^y sigma^y commute with H and are damped at 4k:
    <sigma^x sigma^x> = exp(-4kt), the other stays 0. H only turns phases: |rho_lr| = exp(-2kt n)/4 for n flipped spins,
    and the purity is [(1 + exp(-4kt))/2]^2.
    """
    coupling, rate = 0.9, 0.4
    model = models.dephasing_chain(lattice.chain(2), coupling=(0, 0, coupling), dephasing=rate)

    def means(t: float) -> dict:
        x = np.exp(-2 * rate * t) * np.cos(2 * coupling * t)
        zeros = {"sy": 0.0, "sz": 0.0, "sysy": 0.0, "szsz": 0.0, "energy": 0.0}
        return {"sx": x, "sxsx": np.exp(-4 * rate * t), "purity": ((1 + np.exp(-4 * rate * t)) / 2) ** 2} | zeros

    return Solvable(model, (1, 0, 0), means, {})


def exchanging_pair() -> Solvable:
    """Two spins, H = J (sigma^x sigma^x + sigma^y sigma^y), dephasing k, from |up down>.

    With D = sigma^z_1 - sigma^z_2 and C = sigma^y_1 sigma^x_2 - sigma^x_1 sigma^y_2:  i[H, D] = 4J C, i[H, C] = -4J D
    (H turns |up down> into |down up> with matrix element 2J), and C is damped at 4k. Hence D'' + 4k D' + 16 J^2 D = 0,

        D(t) = 2 exp(-2kt) [cos wt + (2k/w) sin wt],   w = sqrt(16 J^2 - 4k^2),

    while sigma^z_1 + sigma^z_2 = 0 and sigma^z_1 sigma^z_2 = -1 are conserved.
    """
    coupling, rate = 0.5, 0.3
    model = models.dephasing_chain(lattice.chain(2), coupling=(coupling, coupling, 0), dephasing=rate)
    w = np.sqrt(16 * coupling**2 - 4 * rate**2)

    def means(t: float) -> dict:
        half = np.exp(-2 * rate * t) * (np.cos(w * t) + 2 * rate / w * np.sin(w * t))
        return {"sz_site": np.array([half, -half]), "sz": 0.0, "szsz": -1.0, "sx": 0.0, "sy": 0.0}

    return Solvable(model, ((0, 0, 1), (0, 0, -1)), means, {})


def modulated_spin() -> Solvable:
    """One spin, H = B cos(wt) sigma^z, decay at the rate g (1 + sin(wt)/2): coefficients that depend on time.

    The equations of `free_spins` with B and g replaced by functions: their integrals take the place of Bt and gt,
    b(t) = (B/w) sin(wt) and G(t) = g t + (g/2w)(1 - cos(wt)), and

        m(t) = m(0) exp(2ib - G/2),   1 + z(t) = (1 + z(0)) exp(-G).
    """
    field, decay, w, start = 1.5, 0.8, 3.0, (0.6, 0.0, 0.7)
    model = Lindbladian(
        lattice.chain(1),
        field * sz(0) * (lambda t: np.cos(w * t)),
        [(lambda t: decay * (1 + 0.5 * np.sin(w * t)), sm(0))],
    )

    def means(t: float) -> dict:
        lost = decay * t + decay / (2 * w) * (1 - np.cos(w * t))
        m = complex(*start[:2]) * np.exp(2j * field / w * np.sin(w * t) - lost / 2)
        z = -1 + (1 + start[2]) * np.exp(-lost)
        return {"sx": m.real, "sy": m.imag, "sz": z, "energy": field * np.cos(w * t) * z}

    return Solvable(model, start, means, {})


def squeezed_decay() -> Solvable:
    """One spin with the jump c = sigma^- + a sigma^+, 0 < a < 1, and no Hamiltonian: decay into a squeezed reservoir.

    c = [(1 + a) sigma^x - i (1 - a) sigma^y]/2. The adjoint dissipator gives x' = -(1 - a)^2/2 x, y' = -(1 + a)^2/2 y,
    z' = -(1 + a^2) z - (1 - a^2): the two quadratures decay at different rates. It is a case of c = u.sigma + i v.sigma
    with real u, v. There c^+ c = u^2 + v^2 - 2 (u x v).sigma, c c^+ has the other sign, and the Bloch vector obeys

        r' = 2 [(u.r) u + (v.r) v - (u^2 + v^2) r] + 4 u x v.

    Here u = (1 + a)/2 along x, v = -(1 - a)/2 along y, u x v = -(1 - a^2)/4 along z.
    """
    a, start = 0.4, (0.5, 0.5, 0.6)
    model = Lindbladian(lattice.chain(1), 0.0 * sx(0), [Jump(1.0, sm(0) + a * 0.5 * (sx(0) + 1j * sy(0)))])
    rest = -(1 - a**2) / (1 + a**2)

    def means(t: float) -> dict:
        return {
            "sx": start[0] * np.exp(-((1 - a) ** 2) / 2 * t),
            "sy": start[1] * np.exp(-((1 + a) ** 2) / 2 * t),
            "sz": rest + (start[2] - rest) * np.exp(-(1 + a**2) * t),
        }

    return Solvable(model, start, means, {"sx": 0.0, "sy": 0.0, "sz": rest})


def dark_state() -> Solvable:
    """The XYZ model at Jx = Jy on a 2 x 2 torus: all spins down is an eigenstate of H that no jump leaves.

    sigma^x sigma^x + sigma^y sigma^y = 2 (sigma^+ sigma^- + h.c.) annihilates |down down>, so H |down...> = J_z * bonds
    |down...> and sigma^-_j |down...> = 0: L rho = 0. (With total sigma^z conserved by H and only lowered by jumps, it
    is the only stationary state.) The energy is 4 J_z.
    """
    model = models.xyz(lattice.square(2, 2, periodic=True), coupling=(0.9, 0.9, 1.0))
    end = {"sx": 0.0, "sy": 0.0, "sz": -1.0, "sxsx": 0.0, "szsz": 1.0, "purity": 1.0, "energy": 4.0}
    return Solvable(model, (0, 0, -1), lambda t: end, end)


def ring_current() -> Solvable:
    """A Dzyaloshinskii-Moriya ring of three, H = D sum_<jl> (sigma^x_j sigma^y_l - sigma^y_j sigma^x_l), from all up.

    Complex matrix elements: a term is 2i (sigma^+ sigma^- - h.c.). H conserves sum_j sigma^z_j, which therefore relaxes
    as in free spins that decay at rate g: z(t) = -1 + 2 exp(-gt), <sigma^x_j> = <sigma^y_j> = 0.
    """
    sites = lattice.chain(3, periodic=True)
    terms = [0.7 * (sx(int(i)) * sy(int(j)) - sy(int(i)) * sx(int(j))) for i, j in [(0, 1), (1, 2), (2, 0)]]
    model = Lindbladian(sites, total(terms), [(1.0, sm(j)) for j in range(3)])

    def means(t: float) -> dict:
        return {"sz": -1 + 2 * np.exp(-t), "sx": 0.0, "sy": 0.0}

    return Solvable(model, (0, 0, 1), means, {"sz": -1.0, "purity": 1.0})


SOLVABLE = (
    free_spins, driven_spin, dephasing_pair, exchanging_pair, modulated_spin, squeezed_decay, dark_state, ring_current,
)  # fmt: skip
