"""Which papers a problem rests on, as BibTeX."""

import re
import unicodedata
from importlib import metadata
from typing import NamedTuple

from neurho.config import Config


class Reference(NamedTuple):
    """A paper or a program: what it was used for, and its BibTeX entry."""

    key: str
    used_for: str
    kind: str
    fields: dict[str, str]

    def bibtex(self) -> str:
        """The entry as BibTeX."""
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in self.fields.items())
        return f"@{self.kind}{{{self.key},\n{lines}\n}}"

    def text(self) -> str:
        """The entry in one line."""
        f = self.fields
        place = ", ".join(f[k] for k in ("journal", "volume", "pages") if k in f) or f.get("note", "")
        doi = f", doi:{f['doi']}" if "doi" in f else f", arXiv:{f['eprint']}" if "eprint" in f else ""
        authors = [" ".join(reversed(name.split(", "))) for name in f["author"].split(" and ")]
        return _plain(f"{', '.join(authors)}, {f['title']}, {place} ({f['year']}){doi}")


def _plain(text: str) -> str:
    """BibTeX as readers see it: carons and acutes put on their letters, braces gone."""
    for accent, mark in ((r"\\v\{(.)\}", "\u030c"), (r"\\'(.)", "\u0301")):
        text = re.sub(accent, lambda found, mark=mark: unicodedata.normalize("NFC", found[1] + mark), text)
    return text.replace(r"{\o}", "ø").replace("{", "").replace("}", "")


def _article(key: str, used_for: str, author: str, title: str, journal: str, numbers: str, doi: str) -> Reference:
    volume, pages, year = numbers.split()
    fields = {"author": author, "title": title, "journal": journal, "volume": volume, "pages": pages}
    return Reference(key, used_for, "article", fields | {"year": year, "doi": doi})


PRL = "Phys. Rev. Lett."
_HARTMANN = _article(
    "HartmannCarleo2019",
    "the network, the flow and its figures of merit",
    "Hartmann, Michael J. and Carleo, Giuseppe",
    "Neural-Network Approach to Dissipative Quantum Many-Body Dynamics",
    PRL,
    "122 250502 2019",
    "10.1103/PhysRevLett.122.250502",
)
_VICENTINI = _article(
    "Vicentini2019",
    "the dissipative Ising model, stationary states by neural networks",
    "Vicentini, Filippo and Biella, Alberto and Regnault, Nicolas and Ciuti, Cristiano",
    "Variational Neural-Network Ansatz for Steady States in Open Quantum Systems",
    PRL,
    "122 250503 2019",
    "10.1103/PhysRevLett.122.250503",
)
_TORLAI = _article(
    "TorlaiMelko2018",
    "the neural density operator",
    "Torlai, Giacomo and Melko, Roger G.",
    "Latent Space Purification via Neural Density Operators",
    PRL,
    "120 240503 2018",
    "10.1103/PhysRevLett.120.240503",
)
_KOTHE = _article(
    "KotheKirton2024",
    "restricted Boltzmann machines in Liouville space",
    "Kothe, Simon and Kirton, Peter",
    "Liouville-space neural network representation of density matrices",
    "Phys. Rev. A",
    "109 062215 2024",
    "10.1103/PhysRevA.109.062215",
)
_GRAM = Reference(
    "VicentiniRossiCarleo2022",
    "the Gram-Hadamard density operator",
    "misc",
    {
        "author": "Vicentini, Filippo and Rossi, Riccardo and Carleo, Giuseppe",
        "title": "Positive-definite parametrization of mixed quantum states with deep neural networks",
        "year": "2022",
        "eprint": "2206.13488",
        "archivePrefix": "arXiv",
    },
)
_WERNER = _article(
    "Werner2016",
    "matrix products that stay positive",
    "Werner, A. H. and Jaschke, D. and Silvi, P. and Kliesch, M. and Calarco, T. and Eisert, J. and Montangero, S.",
    "Positive Tensor Network Approach for Simulating Open Quantum Many-Body Systems",
    PRL,
    "116 237201 2016",
    "10.1103/PhysRevLett.116.237201",
)
_MELLAK = _article(
    "Mellak2024",
    "convolutional networks for density matrices",
    "Mellak, Johannes and Arrigoni, Enrico and von der Linden, Wolfgang",
    "Deep neural networks as variational solutions for correlated open quantum systems",
    "Commun. Phys.",
    "7 268 2024",
    "10.1038/s42005-024-01757-9",
)
_SCHMITT = _article(
    "SchmittHeyl2020",
    "regularisation by the signal-to-noise ratio",
    "Schmitt, Markus and Heyl, Markus",
    "Quantum Many-Body Dynamics in Two Dimensions with Artificial Neural Networks",
    PRL,
    "125 100503 2020",
    "10.1103/PhysRevLett.125.100503",
)
_HOFMANN = _article(
    "Hofmann2022",
    "the noise of velocities, and samples held back to see it",
    "Hofmann, Damian and Fabiani, Giammarco and Mentink, Johan H. and Carleo, Giuseppe and Sentef, Michael A.",
    "Role of stochastic noise and generalization error in the time propagation of neural-network quantum states",
    "SciPost Phys.",
    "12 165 2022",
    "10.21468/SciPostPhys.12.5.165",
)
_LEE = _article(
    "LeeGopalakrishnanLukin2013",
    "the dissipative XYZ model",
    "Lee, Tony E. and Gopalakrishnan, Sarang and Lukin, Mikhail D.",
    "Unconventional Magnetism via Optical Pumping of Interacting Spin Systems",
    PRL,
    "110 257204 2013",
    "10.1103/PhysRevLett.110.257204",
)
_ZNIDARIC = _article(
    "Znidaric2010",
    "the chain with dephasing",
    "{\\v{Z}}nidari{\\v{c}}, Marko",
    "Exact solution for a diffusive nonequilibrium steady state of an open quantum chain",
    "J. Stat. Mech.",
    "2010 L05002 2010",
    "10.1088/1742-5468/2010/05/L05002",
)
_SINIBALDI = _article(
    "Sinibaldi2023",
    "samples where the state is small (blurring)",
    "Sinibaldi, Alessandro and Giuliani, Clemens and Carleo, Giuseppe and Vicentini, Filippo",
    "Unbiasing time-dependent Variational Monte Carlo by projected quantum evolution",
    "Quantum",
    "7 1131 2023",
    "10.22331/q-2023-10-10-1131",
)
_BOGACKI = _article(
    "BogackiShampine1989",
    "the Runge-Kutta pair bosh3",
    "Bogacki, Przemyslaw and Shampine, Lawrence F.",
    "A 3(2) pair of Runge-Kutta formulas",
    "Appl. Math. Lett.",
    "2 321 1989",
    "10.1016/0893-9659(89)90079-7",
)
_DORMAND = _article(
    "DormandPrince1980",
    "the Runge-Kutta pair dopri5",
    "Dormand, John R. and Prince, Peter J.",
    "A family of embedded Runge-Kutta formulae",
    "J. Comput. Appl. Math.",
    "6 19 1980",
    "10.1016/0771-050X(80)90013-3",
)
_ZWOLAK = _article(
    "ZwolakVidal2004",
    "matrix products of density matrices that evolve in time",
    "Zwolak, Michael and Vidal, Guifr{\\'e}",
    "Mixed-State Dynamics in One-Dimensional Quantum Lattice Systems: A Time-Dependent Superoperator Renormalization "
    "Algorithm",
    PRL,
    "93 207205 2004",
    "10.1103/PhysRevLett.93.207205",
)
_VERSTRAETE = _article(
    "Verstraete2004",
    "matrix products of density matrices",
    "Verstraete, Frank and Garc{\\'i}a-Ripoll, Juan Jos{\\'e} and Cirac, J. Ignacio",
    "Matrix Product Density Operators: Simulation of Finite-Temperature and Dissipative Systems",
    PRL,
    "93 207204 2004",
    "10.1103/PhysRevLett.93.207204",
)
_DALIBARD = _article(
    "Dalibard1992",
    "quantum trajectories",
    "Dalibard, Jean and Castin, Yvan and M{\\o}lmer, Klaus",
    "Wave-function approach to dissipative processes in quantum optics",
    PRL,
    "68 580 1992",
    "10.1103/PhysRevLett.68.580",
)
_PLENIO = _article(
    "PlenioKnight1998",
    "quantum jumps, a review",
    "Plenio, Martin B. and Knight, Peter L.",
    "The quantum-jump approach to dissipative dynamics in quantum optics",
    "Rev. Mod. Phys.",
    "70 101 1998",
    "10.1103/RevModPhys.70.101",
)
_WEIMER = _article(
    "Weimer2021",
    "methods for open many-body systems, equations of motion of correlators among them",
    "Weimer, Hendrik and Kshetrimayum, Augustine and Or{\\'u}s, Rom{\\'a}n",
    "Simulation methods for open quantum many-body systems",
    "Rev. Mod. Phys.",
    "93 015008 2021",
    "10.1103/RevModPhys.93.015008",
)
_BARTHEL = _article(
    "BarthelZhang2020",
    "the product of exponentials of a step",
    "Barthel, Thomas and Zhang, Yikang",
    "Optimized Lie-Trotter-Suzuki decompositions for two and three non-commuting terms",
    "Ann. Phys.",
    "418 168165 2020",
    "10.1016/j.aop.2020.168165",
)
_UNFRIED = _article(
    "Unfried2023",
    "decompositions of bonds by QR",
    "Unfried, Jakob and Hauschild, Johannes and Pollmann, Frank",
    "Fast time evolution of matrix product states using the QR decomposition",
    "Phys. Rev. B",
    "107 155133 2023",
    "10.1103/PhysRevB.107.155133",
)
_JAX = Reference(
    "jax2018github",
    "the arithmetic",
    "software",
    {
        "author": "Bradbury, James and Frostig, Roy and Hawkins, Peter and others",
        "title": "{JAX}: composable transformations of {Python}+{NumPy} programs",
        "note": "http://github.com/jax-ml/jax",
        "year": "2018",
    },
)
_EQUINOX = Reference(
    "KidgerGarcia2021",
    "networks as trees of arrays",
    "article",
    {
        "author": "Kidger, Patrick and Garcia, Cristian",
        "title": "{Equinox}: neural networks in {JAX} via callable {PyTrees} and filtered transformations",
        "journal": "Differentiable Programming workshop at Neural Information Processing Systems",
        "year": "2021",
        "eprint": "2111.00254",
    },
)


_LUO = _article(
    "LuoChenCarrasquillaClark2022",
    "autoregressive networks of outcomes of a measurement",
    "Luo, Di and Chen, Zhuo and Carrasquilla, Juan and Clark, Bryan K.",
    "Autoregressive Neural Network for Simulating Open Quantum Systems via a Probabilistic Formulation",
    PRL,
    "128 090501 2022",
    "10.1103/PhysRevLett.128.090501",
)
_REH = _article(
    "RehSchmittGaerttner2021",
    "their evolution",
    "Reh, Moritz and Schmitt, Markus and Gärttner, Martin",
    "Time-Dependent Variational Principle for Open Quantum Systems with Artificial Neural Networks",
    PRL,
    "127 230501 2021",
    "10.1103/PhysRevLett.127.230501",
)


_METHODS = {
    "matrix-product": [_VERSTRAETE, _ZWOLAK, _BARTHEL, _UNFRIED],
    "trajectories": [_DALIBARD, _PLENIO, _JAX],
    "correlators": [_WEIMER],
    "outcomes": [_LUO, _REH, _JAX, _EQUINOX],
}
"""What methods without a network go back to."""


_NETWORKS = {
    "ndm": [_TORLAI],
    "liouville": [_KOTHE],
    "gram": [_GRAM],
    "mpdo": [_VERSTRAETE, _WERNER],
    "convolution": [_MELLAK],
}
"""What networks go back to."""


def citations(config: Config) -> list[Reference]:
    """The references of a problem: what its model, network, sampler, solver and method go back to."""
    own = _METHODS.get(config.task.method)
    found = [*(own or [_HARTMANN])]
    found += {"xyz": [_LEE], "ising": [_VICENTINI], "dephasing": [_ZNIDARIC]}.get(config.model.kind, [])
    if config.task.method != "exact" and own is None:
        kind = getattr(config.ansatz, "kind", "")
        found += _NETWORKS.get(kind, [])
        found += [_SCHMITT] if getattr(config.task, "solver", "") == "snr" else []
        found += [_HOFMANN] if getattr(config.task, "solver", "") == "cross-validated" else []
        found += [_SINIBALDI] if getattr(config.sampling, "blur", 0) else []
        found += {"bosh3": [_BOGACKI], "dopri5": [_DORMAND]}.get(config.task.method, [])
        found += [_JAX, _EQUINOX]
    program = {
        "author": "{The neurho authors}",
        "title": "neurho: neural density matrices for open quantum many-body systems",
        "note": f"version {metadata.version('neurho')}",
        "year": "2026",
    }
    return [*found, Reference("neurho", "all of it", "software", program)]


def bibtex(config: Config) -> str:
    """All references of a problem as one BibTeX file, each with a comment on what it was used for."""
    return "\n\n".join(f"% {reference.used_for}\n{reference.bibtex()}" for reference in citations(config)) + "\n"
