from .netket import from_netket as from_netket
from .qutip import from_qutip as from_qutip
from .qutip import operator_from_qutip as operator_from_qutip
from .qutip import operator_to_qutip as operator_to_qutip
from .qutip import to_qutip as to_qutip
