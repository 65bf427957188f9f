"""Bounds of a mean that may be looked at every day: they hold on all days at once, however long one looks."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import t as student

ERROR = 0.05  # how often a bound may ever be on the wrong side of the mean, for each of the two
FAR = 1e8  # no t statistic is larger


def bounds(values: NDArray[np.float64], effect: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the `low` and `high` bound of the mean of all values up to each day, of the shape of `values`.

    The last axis is the days. Each bound alone is right on every day at once with probability 1 - ERROR, for
    independent Gaussian values of unknown variance: acting on the first day on which `low` is above zero is wrong in
    at most ERROR of the cases in which the mean is not. They are narrowest when the mean lies about `effect` standard
    deviations from the truth that is refuted; they hold for any `effect`. No bounds are infinite ones.
    """
    count = np.arange(1, values.shape[-1] + 1)
    mean = values.cumsum(axis=-1) / count
    # Of the deviations from a fixed day, so that a small variance is not lost beside a large mean.
    shifted = values - values[..., :1]
    squares = (shifted**2).cumsum(axis=-1) - shifted.cumsum(axis=-1) ** 2 / count
    error = np.sqrt(np.maximum(squares, 0) / np.maximum(count - 1, 1) / count)
    critical = np.array([critical_t(int(days), effect) for days in count])
    margin = critical * np.where(np.isinf(critical), 1.0, error)
    return mean - margin, mean + margin


@cache
def critical_t(days: int, effect: float) -> float:
    """Return the t statistic of `days` values above which their mean is too large to be zero; infinite when none is."""
    if days < 2 or log_evidence(FAR, days, effect) < -np.log(ERROR):
        return np.inf
    return float(brentq(lambda t: log_evidence(t, days, effect) + np.log(ERROR), 0, FAR))


def log_evidence(t: float, days: int, effect: float) -> float:
    """Return the logarithm of the e-value against "the mean is zero or less", of the t statistic of `days` values.

    It is the scale-invariant likelihood ratio of Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for
    Gaussian means with unknown variance" (arXiv:2310.03722), Theorem 4.9, in which the mean over the standard deviation
    is mixed over a Gaussian of precision c^2 = 1 / effect^2. Here it is mixed over the positive half of that Gaussian
    alone: with n days, S their sum, V the sum of their squares and a = S / sqrt(V), the integral is the theorem's times
    twice the distribution function of Student's t with n degrees of freedom at a sqrt(n) / sqrt(n + c^2 - a^2). It is a
    nonnegative martingale of mean one when the mean is zero, so it ever exceeds 1 / ERROR with probability ERROR at
    most (Ville's inequality). It grows with t, and a constant taken from every value lowers every t: so the same holds
    for each mean below zero.
    """
    precision = effect**-2
    square = days * t * t / (days - 1 + t * t)  # of a
    argument = np.copysign(np.sqrt(square * days / (days + precision - square)), t)
    return float(
        np.log(2)
        + np.log(precision / (days + precision)) / 2
        - days / 2 * np.log1p(-square / (days + precision))
        + student.logcdf(argument, days)
    )
