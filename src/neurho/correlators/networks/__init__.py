"""Networks of correlators: real functions of operator strings."""

from neurho.correlators.networks.base import (
    AbstractStringNetwork,
    Slopes,
    parameter_vector,
    string_derivatives,
    string_values,
    with_parameters,
)
from neurho.correlators.networks.combined import ProductNetwork, SumNetwork, added, multiplied
from neurho.correlators.networks.convolution import ConvolutionNetwork, convolution_network
from neurho.correlators.networks.cumulants import ConnectedNetwork, CumulantNetwork, cumulant_network
from neurho.correlators.networks.growing import Filtered, put_back, with_first
from neurho.correlators.networks.matrix_product import MatrixProductNetwork, matrix_product_network
from neurho.correlators.networks.means import Means, product_means
from neurho.correlators.networks.mixture import MixtureNetwork, mixture_network
from neurho.correlators.networks.module import (
    Change,
    Departure,
    StringModule,
    as_string_network,
    departing,
    from_string_module,
)

__all__ = [
    "AbstractStringNetwork",
    "Change",
    "ConnectedNetwork",
    "ConvolutionNetwork",
    "CumulantNetwork",
    "Departure",
    "Filtered",
    "MatrixProductNetwork",
    "Means",
    "MixtureNetwork",
    "ProductNetwork",
    "Slopes",
    "StringModule",
    "SumNetwork",
    "added",
    "as_string_network",
    "convolution_network",
    "cumulant_network",
    "departing",
    "from_string_module",
    "matrix_product_network",
    "mixture_network",
    "multiplied",
    "parameter_vector",
    "product_means",
    "put_back",
    "string_derivatives",
    "string_values",
    "with_first",
    "with_parameters",
]
