"""False promotions and power of the shadow's test, looked at on every evening of ten weeks; no more than 5 % are false.

400 challengers of each kind are simulated on the real flights of ten spans of the year: so many flights a day, so many
of them late. Scores are binormal. What makes them realistic was measured on models of the example that were trained
three to twelve weeks apart, on the days after: their scores correlate by 0.92 to 0.94, the AUC of a day is 0.70 on the
mean and varies by 0.08, and the difference of two models by 0.016 to 0.029, mostly with the day and not with the number
of its flights. The rival is the paired bootstrap for one look, looked at on every evening: its bound is right on one.
"""

import time
from dataclasses import replace

import numpy as np
from flight_delays import problem
from flight_delays.monitoring.policy import Action, Evidence, decide
from flight_delays.sources import SOURCES
from harness import verdict
from numpy.typing import NDArray
from scipy.stats import norm

CHALLENGERS, SPANS, DAYS = 400, 10, problem.POLICY.shadow_days_most
CORRELATION = 0.93
AUC, DAILY, OWN = 0.70, 0.08, 0.0135  # the mean; what all models' AUC varies by from day to day; what one's does
WORTH = problem.POLICY.promotion_auc_gain
SEED = 7
ALLOWED, WANTED = 0.05, 0.80
DRAWS = 1000
SHADOWING = Evidence(
    quarantined=[], recent={"coverage": 0.0}, recent_days=0, promised_auc=AUC, challenger=(), previous=(),
    days_since_training=0, shadowing=True, drifted=[],
)  # fmt: skip


def flights() -> NDArray[np.int64]:
    """Return the real number of flights that were late and that were not, of each day of the year: (days, 2)."""
    rows = SOURCES[problem.LABEL_SOURCE].everything()
    days = rows["scheduled_departure"].dt.date
    late = problem.label(rows).groupby(days).agg(["sum", "size"])
    return np.column_stack([late["sum"], late["size"] - late["sum"]])[7:-7]


def simulate(counts: NDArray[np.int64], gain: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the daily AUC of each challenger minus its champion's, of shape (CHALLENGERS, DAYS)."""
    slope = norm.pdf(norm.ppf(AUC)) / np.sqrt(2)  # of the AUC by the distance of the two classes
    each = CHALLENGERS // SPANS
    found = []
    for start in np.linspace(0, len(counts) - DAYS, SPANS).astype(int):
        days = []
        for late, others in counts[start : start + DAYS]:
            common = norm.ppf(AUC) * np.sqrt(2) + random.normal(0, DAILY / slope)
            shared = random.normal(size=(each, late + others))
            aucs = []
            for better in (gain, 0.0):
                own = random.normal(size=(each, late + others))
                scores = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
                scores[:, :late] += common + better / slope + random.normal(0, OWN / slope, size=(each, 1))
                ranks = np.arange(late + others) * (scores.argsort(axis=1) < late)
                aucs.append((ranks.sum(axis=1) - late * (late - 1) / 2) / (late * others))
            days.append(aucs[0] - aucs[1])
        found.append(np.array(days).T)
    return np.concatenate(found)


def settled(gains: NDArray[np.float64]) -> tuple[Action, int]:
    """Return what the policy does with a challenger at last, and after how many days."""
    for days in range(1, DAYS + 1):
        action = decide(replace(SHADOWING, challenger=gains[:days].tolist())).action
        if action is not Action.NOTHING:
            return action, days
    raise AssertionError("the policy left a challenger unsettled")


def peeked(gains: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.bool_]:
    """Return for which challengers the bootstrap's lower 95 % bound was above zero on any evening."""
    ever = np.zeros(len(gains), dtype=bool)
    for days in range(problem.POLICY.shadow_days, DAYS + 1):
        drawn = random.multinomial(days, np.full(days, 1 / days), size=DRAWS) / days
        ever |= np.quantile(drawn @ gains[:, :days].T, 0.05, axis=0) > 0
    return ever


def main() -> None:
    started = time.perf_counter()
    counts = flights()
    random = np.random.default_rng(SEED)
    print(f"{CHALLENGERS} challengers of each kind, {DAYS} days of {counts.sum(axis=1).mean():.0f} flights at most")
    print(f"{'gain':<8}{'daily sd':>10}{'promoted':>10}{'median day':>12}{'bootstrap, daily':>18}{'once, day 7':>13}")
    promoted = {}
    for gain in (0.0, -0.005, -0.01, WORTH / 2, WORTH, 2 * WORTH):
        gains = simulate(counts, gain, random)
        ends = [settled(row) for row in gains]
        days = [day for action, day in ends if action is Action.PROMOTE]
        promoted[gain] = len(days) / CHALLENGERS
        rival = peeked(gains, random).mean()
        once = np.random.default_rng(SEED).multinomial(7, np.full(7, 1 / 7), size=DRAWS) / 7
        old = (np.quantile(once @ gains[:, :7].T, 0.05, axis=0) >= -0.01).mean()
        median = f"{np.median(days):.0f}" if days else "-"
        print(
            f"{gain:<+8.3f}{gains.std(axis=1).mean():>10.4f}{promoted[gain]:>10.1%}{median:>12}{rival:>18.1%}{old:>13.1%}"
        )
    print("once, day 7: at most 0.01 worse by the bootstrap, the rule that asks for no proof")
    print(f"power for {WORTH:+.3f}: {promoted[WORTH]:.1%} (wanted {WANTED:.0%}); {time.perf_counter() - started:.0f} s")
    if promoted[WORTH] < WANTED:
        raise SystemExit(f"the power is below {WANTED:.0%}")
    verdict("shadow-test", max(rate for gain, rate in promoted.items() if gain <= 0), ALLOWED)


if __name__ == "__main__":
    main()
