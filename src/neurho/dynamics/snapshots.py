"""From measurements to snapshots: numbers that can be kept, and the sentences that belong to them."""

import math

import numpy as np

from neurho._jax.scalars import Scalar
from neurho._types import NumericalError
from neurho.certificate import ALWAYS, EVOLUTION
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.estimation.observables import Measurement, Observables
from neurho.matrix_elements.estimation.strata import doubts, named_parts
from neurho.matrix_elements.tdvp.equation import Certificate
from neurho.observables import Estimate, Snapshot, State
from neurho.observables.readout import as_values

NORM2_ESS_LIMIT = 30.0
BETTER_SAMPLES = "sampling.exponent = 1 with sampling.blur = 0.3"


def take(
    observables: Observables,
    measured: Measurement,
    certificate: Certificate | None,
    state: State,
    diagnostics: dict[str, float],
    *,
    exact: bool,
) -> Snapshot:
    """The snapshot of a state that has `ansatz`, `step` and `t`.

    **Raises** `NumericalError` when a measured number is NaN or infinite.
    """
    values = observables.named(measured, state.ansatz.sites)
    if not observables.sampler.exact:
        diagnostics = diagnostics | {
            "acceptance_diagonal": float(measured.acceptance),
            "r_hat_diagonal": float(measured.r_hat),
        }
    if certificate is not None:
        diagnostics = diagnostics | certified(certificate, exact=exact)
    require_finite(values, diagnostics, state.t)
    seen = "" if exact or certificate is None else doubts(certificate.sectors)
    return Snapshot(
        step=state.step,
        t=state.t,
        observables=values,
        diagnostics={name: value for name, value in diagnostics.items() if not np.isnan(value)},
        state=state,
        message=" ".join(filter(None, (warning(diagnostics), seen, observables.remark(measured)))),
        tables={} if certificate is None else named_parts(certificate.sectors, exact=exact),
    )


def certified(certificate: Certificate, *, exact: bool) -> dict[str, float]:
    """The numbers of a certificate by name."""
    estimates = {"delta_L": certificate.delta_l, "lindblad_norm2": certificate.lindblad_norm2}
    values = {name: float(value) for name, value in as_values(estimates).items()}
    if exact:
        return values  # sums over all configurations have no chains to judge
    return values | {
        "acceptance": float(certificate.acceptance),
        "r_hat": float(certificate.r_hat),
        "tau": float(certificate.tau),
        "ess": float(certificate.ess),
        "lindblad_norm2_ess": float(certificate.norm2_ess),
    }


def depolarised_part(norm: Depolarised | None, motion: Scalar) -> dict[str, float]:
    """||L rho||^2/||rho||^2 in a depolarised norm, by name, where a run uses one."""
    return {} if norm is None else {"lindblad_norm2_depolarised": float(motion)}


def remarked(snapshot: Snapshot, sentence: str) -> Snapshot:
    """The snapshot with a sentence before what it says already."""
    return snapshot._replace(message=" ".join(filter(None, (sentence, snapshot.message))))


def require_finite(observables: dict[str, Estimate], diagnostics: dict[str, float], t: float) -> None:
    """Raise a `NumericalError` for NaN and infinities."""
    bad = [name for name, e in observables.items() if not np.all(np.isfinite(e.mean))]
    bad += [name for name in ("delta_L", "lindblad_norm2") if not np.isfinite(diagnostics.get(name, 0.0))]
    if bad:
        raise NumericalError(
            f"At t = {t:.6g} {', '.join(bad)} became NaN or infinite: the state has left the range of floating-point "
            "numbers; take a smaller dt or tolerance, a larger ridge, or more samples."
        )


def require_steps(step: int, max_steps: int | None, t: float, target: float, *, advice: str) -> None:
    """Stop a run that takes more steps than it was given."""
    if max_steps is not None and step >= max_steps:
        raise NumericalError(
            f"The run stopped at t = {t:.6g} before {target:.6g}: it has taken max_steps = {max_steps} steps; "
            f"give more, or {advice}."
        )


def warning(diagnostics: dict[str, float]) -> str:
    """What a user should know about these numbers, or ""."""
    warnings = []
    for name, advice in (
        ("r_hat", f"take {BETTER_SAMPLES}, or more chains"),
        ("r_hat_diagonal", "take more sampling.sweeps between samples, or more chains"),
    ):
        if diagnostics.get(name, 1.0) > (limit := ALWAYS[name].good):
            warnings.append(f"{name} = {diagnostics[name]:.3f} > {limit}: the chains disagree; {advice}.")
    for name, advice in (("acceptance", f"; take {BETTER_SAMPLES}"), ("acceptance_diagonal", "")):
        if diagnostics.get(name, 1.0) < ALWAYS[name].good:
            warnings.append(
                f"{name} = {diagnostics[name]:.2e}: the chains hardly move, so errors may be underestimated{advice}."
            )
    if diagnostics.get("lindblad_norm2_ess", math.inf) < NORM2_ESS_LIMIT:
        warnings.append(
            f"lindblad_norm2 rests on {diagnostics['lindblad_norm2_ess']:.1f} effective samples: its error is not "
            f"known, and parts of ||L rho||^2 may not have been sampled at all; take {BETTER_SAMPLES}, then more "
            "samples."
        )
    if diagnostics.get("residual", 0.0) > EVOLUTION["residual"].good:
        warnings.append(
            f"residual = {diagnostics['residual']:.2f}: the network cannot follow the equation of motion; take more "
            "hidden and mixing units, or a smaller ridge."
        )
    if diagnostics.get("error_estimate", 0.0) > (limit := EVOLUTION["error_estimate"].usable):
        warnings.append(
            f"error_estimate = {diagnostics['error_estimate']:.2f} > {limit}: from here on the curves should no "
            "longer be believed."
        )
    return " ".join(warnings)
