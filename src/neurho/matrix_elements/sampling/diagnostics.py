"""How far to trust Markov chains: split R-hat, autocorrelation time, effective sample size."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def split_r_hat(series: Float[Array, "draws chains"]) -> Float[Array, ""]:
    """Split R-hat (Gelman et al., Bayesian Data Analysis, 3rd ed., 11.4): near 1 when all half-chains agree.

    NaN for fewer than four draws per chain; 1 for a constant series.
    """
    half = series.shape[0] // 2
    if half < 2:
        return jnp.full((), jnp.nan)
    split = jnp.concatenate([series[:half], series[half : 2 * half]], axis=1)
    within = jnp.mean(jnp.var(split, axis=0, ddof=1))
    between = half * jnp.var(jnp.mean(split, axis=0), ddof=1)
    pooled = (half - 1) / half * within + between / half
    return jnp.where(
        within > 0, jnp.sqrt(pooled / jnp.where(within > 0, within, 1)), jnp.where(between > 0, jnp.inf, 1.0)
    )


def autocorrelation_time(series: Float[Array, "draws chains"]) -> Float[Array, ""]:
    """Integrated autocorrelation time 1 + 2 sum_t rho(t) in units of draws, averaged over chains.

    Autocovariances about the mean of all chains, summed while pairs rho(2m) + rho(2m + 1) stay positive and
    decreasing (Geyer, Stat. Sci. 7, 473, 1992). At least 1 draw for a single draw or a constant series.
    """
    draws = series.shape[0]
    centred = series - jnp.mean(series)
    padded = jnp.fft.rfft(centred, n=2 * draws, axis=0)
    covariance = jnp.mean(jnp.fft.irfft(jnp.abs(padded) ** 2, n=2 * draws, axis=0)[:draws], axis=1)
    covariance = covariance / jnp.arange(draws, 0, -1)
    rho = covariance / jnp.where(covariance[0] > 0, covariance[0], 1)
    pairs = rho[: draws - draws % 2].reshape(-1, 2).sum(axis=1)
    if len(pairs) == 0:
        return jnp.ones(())
    pairs = jnp.minimum.accumulate(pairs)
    positive = jnp.cumprod(pairs > 0)
    tau = jnp.maximum(2 * jnp.sum(jnp.where(positive, pairs, 0)) - 1, 1 / draws)
    return jnp.where(covariance[0] > 0, tau, 1.0)


def effective_sample_size(weight: Float[Array, "..."]) -> Float[Array, ""]:
    """Kish's effective number of samples, (sum w)^2 / sum w^2."""
    return jnp.sum(weight) ** 2 / jnp.sum(weight**2)
