"""Messages to a person or a webhook, through whatever service apprise knows: when a run fails, and when it ends."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Verdict
from lvmcheck.checks.wording import counts_text, verdict_text
from lvmcheck.errors import InputError
from lvmcheck.extras import need
from lvmcheck.report.verdicts import bad
from lvmcheck.text.fit import fit
from lvmcheck.text.say import complain

MOST = 5
"""Failed checks that a message at the end names."""


class Alerts:
    """Services that take a message; what cannot be delivered is one line on stderr, and nothing else happens.

    Args:
        urls: addresses as apprise reads them, such as ``json://host/path`` or ``slack://...``.
        where: the option that they come from.

    Raises:
        InputError: apprise is not installed, or reads no such address. Only the scheme of an address is shown: the rest
            may hold a token.
    """

    def __init__(self, urls: Sequence[str], where: str) -> None:
        self._apprise: Any = need("apprise", extra="alerts", purpose=f"sending messages ({where})")
        self._services: list[tuple[str, Any]] = []
        for url in urls:
            service = self._apprise.Apprise()
            scheme = f"{url.partition('://')[0][:20]}://" if "://" in url else "an address without a scheme"
            with _quietly(self._apprise):
                known = service.add(url)
            if not known:
                fix = "Such as json://host/path for a webhook; the schemes are those of apprise."
                raise InputError(where, f"no service takes {scheme}", fix=fix)
            self._services.append((scheme, service))

    def failed(self, run: str, verdict: Verdict, cause: Diagnosis | None = None) -> None:
        """A check of a run has failed; ``run`` is its name for a reader."""
        said = [verdict_text(verdict)]
        if cause is not None:
            said += [f"cause: {diagnosis_sentence(cause)}", f"fix: {cause.fix}"]
        self._send(f"{run}: {verdict.name} failed", said, "failure")

    def ended(self, run: str, how: str, verdicts: Iterable[Verdict]) -> None:
        """A run or a session is over; ``how`` is how and where."""
        every = list(verdicts)
        wrong = [verdict for verdict in every if bad(verdict)]
        more = [f"and {len(wrong) - MOST} more"] if len(wrong) > MOST else []
        counts = counts_text(verdict.outcome for verdict in every)
        lines = [*([how] if how else []), counts, *map(verdict_text, wrong[:MOST]), *more]
        self._send(f"{run}: {'failed' if wrong else 'passed'}", lines, "failure" if wrong else "success")

    def _send(self, title: str, lines: Sequence[str], kind: str) -> None:
        for scheme, service in self._services:
            with _quietly(self._apprise):
                delivered = service.notify(title=fit(title), body="\n".join(map(fit, lines)), notify_type=kind)
            if not delivered:
                complain(f"lvmcheck: an alert could not be delivered to {scheme}")


@contextmanager
def _quietly(apprise: Any) -> Iterator[None]:
    """apprise loads its services with deprecated modules and logs addresses; neither is for the reader of a run."""
    log = logging.getLogger("apprise")
    before, log.propagate = log.propagate, False
    try:
        with warnings.catch_warnings(), apprise.LogCapture(level=logging.CRITICAL):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.propagate = before
