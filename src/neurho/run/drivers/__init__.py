"""Methods: the flow of networks, implicit steps, exact, correlators, quantum trajectories, matrix products,
outcomes.

A driver is what a problem file's `task.method` stands for. The loop around it, with checkpoints, progress and signals,
is one for all.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from neurho.run.assembly import METHODS
from neurho.run.drivers import correlator_networks, trajectories
from neurho.run.drivers.base import Driver
from neurho.run.drivers.exact import ExactDriver
from neurho.run.drivers.flow import FlowDriver
from neurho.run.drivers.implicit_steps import ContinuationDriver, ProjectedDriver
from neurho.run.drivers.matrix_product import MatrixProduct
from neurho.run.drivers.outcomes import OutcomesDriver
from neurho.run.setup import Setup

DRIVERS: Mapping[str, Callable[[Setup], Driver]] = MappingProxyType(
    dict.fromkeys(METHODS, FlowDriver)
    | {
        "projected": ProjectedDriver,
        "continuation": ContinuationDriver,
        "exact": ExactDriver,
        "correlators": correlator_networks.make,
        "matrix-product": MatrixProduct,
        "outcomes": OutcomesDriver,
        "trajectories": trajectories.make,
    }
)
"""What makes the driver of a method, by its name in the problem file."""

__all__ = ["DRIVERS", "Driver"]
