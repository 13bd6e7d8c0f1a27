"""What a band is worth before it is relied on: false alarms and detections of simulated runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.statistics.band import Band, Floats, departures
from lvmcheck.statistics.student import binomial_interval

SPREAD = 1e-3
"""Standard deviation of a cosine over seeds: attempts 1 and 3 of the seeds differ by 0.0014 (facts 0.5)."""
EPOCHS = np.arange(1, 11)


@dataclass(frozen=True)
class Row:
    """One line of the table: how often a band of ``n`` seeds at ``rate`` alarmed for runs shifted by ``shift``."""

    n: int
    rate: float
    shift: float
    alarms: int
    rounds: int

    def sentence(self) -> str:
        low, high = binomial_interval(self.alarms, self.rounds)
        share = self.alarms / self.rounds
        return (
            f"{self.n:5}  {self.rate:8.2g}  {self.shift:9.3g}  {self.alarms:5} of {self.rounds:<5}  "
            f"{share:6.1%}  ({low:.1%} to {high:.1%})"
        )


HEADER = "seeds  rate      lost       alarms          share   95 % interval"


def simulate(rng: np.random.Generator, n: int, metrics: int = 2, spread: float = SPREAD) -> Floats:
    """Healthy runs [metrics, n, epochs]: half of the variance is the seed's own level, half drifts along its epochs.

    The drift is a first-order autoregression (rho 0.6), so that epochs are correlated as those of real runs are.
    """
    noise = rng.normal(size=(metrics, n, len(EPOCHS)))
    for t in range(1, len(EPOCHS)):
        noise[:, :, t] = 0.6 * noise[:, :, t - 1] + 0.8 * noise[:, :, t]
    level = rng.normal(size=(metrics, n, 1))
    return np.asarray(0.55 + spread * np.sqrt(0.5) * (level + noise))


def alarm(reference: Floats, run: Floats, rate: float) -> bool:
    """Whether one run [metrics, epochs] leaves the band of the reference [metrics, n, epochs]."""
    bands = [Band(str(m), EPOCHS, rows) for m, rows in enumerate(reference)]
    said = {str(m): (EPOCHS.tolist(), row.tolist()) for m, row in enumerate(run)}
    return bool(departures(bands, said, rate=rate, whole=True))


def table(
    seeds: Sequence[int], rates: Sequence[float], shifts: Sequence[float], *, rounds: int, spread: float = SPREAD
) -> Iterator[Row]:
    """Each band against ``rounds`` new runs, healthy (shift 0) and worse by ``shift`` at every epoch."""
    for n in seeds:
        for rate in rates:
            for shift in shifts:
                rng = np.random.default_rng([n, rounds])
                alarms = sum(
                    alarm(simulate(rng, n, spread=spread), simulate(rng, 1, spread=spread)[:, 0] - shift, rate)
                    for _ in range(rounds)
                )
                yield Row(n, rate, shift, alarms, rounds)
