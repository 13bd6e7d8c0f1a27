"""Runs for reports: a language model's with everything in it, one with nothing but epochs, hostile ones, many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Asked, Finding, Outcome, Status, Verdict
from lvmcheck.report.html.page import render
from lvmcheck.report.html.report_run import Extra, ReportRun, distinct, report_run
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

NOWHERE: Mapping[str, str] = {}
FACTS: Mapping[str, Any] = {
    "source": "twin",
    "constant_mean": 0.483,
    "mean_of_context": 0.539,
    "optimum": 0.636,
    "gate.parts": ["train", "validation"],
    "gate.train.rows": 21495,
    "gate.validation.rows": 4325,
    "gate.validation.lag_profile": [0.468, 0.414, 0.378],
    "gate.validation.random_cosine": 0.2357,
}


def epochs(metrics: Mapping[str, Sequence[float]], **fields: Any) -> list[ev.Event]:
    count = len(next(iter(metrics.values())))
    return [
        ev.Epoch(epoch=i + 1, step=10 * (i + 1), metrics={k: v[i] for k, v in metrics.items()}, **fields)
        for i in range(count)
    ]


def whole_run(seed: int = 0, **info: Any) -> Run:
    """Three epochs with everything that a report can show."""
    said: list[ev.Event] = [
        ev.Begin(),
        ev.Data(name="corpus", fingerprint="f" * 64, facts=FACTS, notes=("a twin",)),
        ev.Model(kind="cognate", parameters=1234),
        ev.Stage(index=0, name="easy", epoch=1, step=0, fingerprint="a"),
    ]
    for i, epoch in enumerate(epochs({"val_cosine": [0.5, 0.52, 0.57], "val_loss": [3.0, 2.0, 1.0]})):
        assert isinstance(epoch, ev.Epoch)
        terms = {"mse": ev.Term(weight=0.5, mean=0.2), "info_nce": ev.Term(weight=0.5, mean=1.8)}
        steps = {"epoch": i + 1, "first_step": 10 * i + 1, "last_step": 10 * (i + 1), "samples": 320, "seconds": 0.5}
        loss = {"loss_mean": 1 - i / 4, "loss_min": 0.1, "loss_max": 2.0, "grad_norm_mean": 0.4, "lr": 1e-3}
        said.append(ev.Window(terms=terms, **steps, **loss))
        said.append(ev.Probe(name="term_grad_norm", epoch=i + 1, step=10 * i, values={"mse": 1.0, "info_nce": 3.0}))
        shares = {"share_1": 0.25, "share_2": 0.75 - i / 10, "share_3": i / 10, "tokens": 500.0}
        said.append(ev.Probe(name="halting", epoch=i + 1, step=10 * i, values=shares))
        asked = {"prompt": "Q: 2 + 2\nA:", "answer": "4", "dataset": "sums"}
        said.append(ev.Sample(name="greedy", epoch=i + 1, step=10, text=f" {i + 2}", **asked))
        said.append(epoch)
    said.insert(-3, ev.Stage(index=1, name="hard", epoch=3, step=20, fingerprint="b"))
    body = {"suite": "sums", "profile": "smoke", "device": "cpu", "seed": seed, "config": {"lr": 1e-3, "epochs": 3}}
    return Run(events=tuple(said), info=body | info, done={"status": "finished"})


def finding(**fields: Any) -> Finding:
    """A validation cosine above its floor at epoch 3, with other fields where they are given."""
    own: dict[str, Any] = {"code": "at_epoch", "metric": "val_cosine", "measured": 0.57, "bounds": (floor(0.55),)}
    return Finding(**own | {"epoch": 3} | fields)


def verdict(name: str, status: Status = Status.PASSED, found: Finding | None = None, **fields: Any) -> Verdict:
    """A verdict that a suite asked for; ``fields`` are those of a verdict, or else of its outcome."""
    address = {key: fields.pop(key) for key in ("seed", "asked", "source", "expected_failure") if key in fields}
    outcome = Outcome(status=status, finding=finding() if found is None and "why" not in fields else found, **fields)
    address = {"asked": Asked(file="suites/sums/suite.toml", line=1)} | address
    return Verdict(name=name, check=name.partition("[")[0], outcome=outcome, **address)


def report_of(run: Run, *verdicts: Verdict, label: str = "") -> ReportRun:
    """With verdicts that are given, or judged now where none are."""
    return report_run(run, label=label, verdicts=verdicts or None)


def page(*runs: ReportRun, extras: Sequence[Extra] = (), folder: Path | None = None, **fields: Any) -> str:
    return render(distinct(runs), extras, folder=folder or Path.cwd(), environ=fields.pop("environ", NOWHERE), **fields)


def many(runs: int = 30, length: int = 1000, metrics: int = 14) -> list[ReportRun]:
    """Runs whose metrics are all different, as those of a sweep are."""
    found = []
    for seed in range(runs):
        table = {
            f"metric_{m}": [math.sin(seed + m + e / 50) + 1e-4 * (e * 7919 % 101) for e in range(length)]
            for m in range(metrics)
        }
        run = Run(events=tuple(epochs(table)), info={"seed": seed, "suite": "sweep"}, done={"status": "finished"})
        found.append(report_of(run, verdict("finite")))
    return found


class Page(HTMLParser):
    """A page as elements ``(tag, attributes, text)`` in order; a tag that is never closed is an error."""

    VOID = ("meta", "br", "wbr", "input", "link", "hr", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(html)
        self.close()
        assert self._open == [], [self.elements[i][0] for i in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}, []))
        if tag not in self.VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        self.handle_data(" ")
        assert self.elements[self._open.pop()][0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for i in self._open:
            self.elements[i][2].append(data)

    def all(self, tag: str, **wanted: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of each element of a tag; ``class_`` is one of its classes."""
        found = []
        for name, attributes, text in self.elements:
            own = attributes.get("class", "").split()
            kind = wanted.get("class_")
            others = {k: v for k, v in wanted.items() if k != "class_"}
            if name == tag and (kind is None or kind in own) and others.items() <= attributes.items():
                found.append((attributes, " ".join("".join(text).split())))
        return found

    def text(self, tag: str, **wanted: str) -> str:
        """The text of the only such element."""
        ((_, text),) = self.all(tag, **wanted)
        return text
