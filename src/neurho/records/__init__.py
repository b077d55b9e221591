"""The run directory: series, checkpoints, provenance, summary. The only module that writes files.

    problem.toml      the problem as resolved        series.nc         everything measured, along t (xarray)
    provenance.json   versions, platform, seed       checkpoints/      the last states, each with a header line
    summary.json      the result

Every file is written beside its place and moved there in one step, so that a reader, a crash or a full disk never
meets half a file. The series is written before the checkpoint that belongs to it: rows later than the checkpoint are
dropped on resuming, and nothing is ever missing.
"""

from neurho.records.code import network_of_code
from neurho.records.disagreement import disagreement
from neurho.records.files import (
    CHECKPOINTS,
    LOCK,
    PROBLEM,
    PROVENANCE,
    SERIES,
    STATUS,
    SUMMARY,
    Record,
    Status,
    is_locked,
    is_run,
    locked,
    read_problem,
    read_provenance,
    read_status,
    read_summary,
    require_unused,
    write_file,
    write_status,
)
from neurho.records.parameters import load_parameters, save_parameters
from neurho.records.run import UNDEFINED_AT_TIMES, Run, create, read_ansatz, read_state, reopen
from neurho.records.series import Row, read_series
from neurho.records.summary import NOT_OBSERVABLES, is_observable, judge, summarise, time_average

__all__ = [
    "CHECKPOINTS",
    "LOCK",
    "NOT_OBSERVABLES",
    "PROBLEM",
    "PROVENANCE",
    "SERIES",
    "STATUS",
    "SUMMARY",
    "UNDEFINED_AT_TIMES",
    "Record",
    "Row",
    "Run",
    "Status",
    "create",
    "disagreement",
    "is_locked",
    "is_observable",
    "is_run",
    "judge",
    "load_parameters",
    "locked",
    "network_of_code",
    "read_ansatz",
    "read_problem",
    "read_provenance",
    "read_series",
    "read_state",
    "read_status",
    "read_summary",
    "reopen",
    "require_unused",
    "save_parameters",
    "summarise",
    "time_average",
    "write_file",
    "write_status",
]
