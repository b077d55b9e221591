"""Density matrices as networks: the hidden-unit engine and the ansatzes built on it."""

from neurho.ansatz.base import AbstractAmplitudes as AbstractAmplitudes
from neurho.ansatz.base import AbstractAnsatz as AbstractAnsatz
from neurho.ansatz.base import Ratio as Ratio
from neurho.ansatz.base import Reevaluated as Reevaluated
from neurho.ansatz.base import density_matrix as density_matrix
from neurho.ansatz.base import log_amplitudes as log_amplitudes
from neurho.ansatz.base import log_derivatives as log_derivatives
from neurho.ansatz.base import parameter_count as parameter_count
from neurho.ansatz.base import parameters as parameters
from neurho.ansatz.hidden import HiddenUnits as HiddenUnits
from neurho.ansatz.levels import PreparedLevels as PreparedLevels
from neurho.ansatz.levels import level_amplitudes as level_amplitudes
from neurho.ansatz.levels import level_state as level_state
from neurho.ansatz.ndm import NDM as NDM
from neurho.ansatz.ndm import PoweredUnits as PoweredUnits
from neurho.ansatz.ndm import random_ndm as random_ndm
from neurho.ansatz.prepare import Prepared as Prepared
from neurho.ansatz.prepare import product_state as product_state
from neurho.ansatz.rbm import RBM as RBM
from neurho.ansatz.rbm import random_rbm as random_rbm
from neurho.ansatz.table import Table as Table
from neurho.ansatz.table import table_from_matrix as table_from_matrix
