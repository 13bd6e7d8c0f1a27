"""What an exporter knows of a run: its name, an identity that stays, its config and facts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.exporters.entry import ExportRun
from lvmcheck.report.verdicts import KINDS, bad, kind, message
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import spell, to_line
from lvmcheck.run.utc import seconds_of
from lvmcheck.run.view import Run
from lvmcheck.text.fit import clean

FACTS = ("suite", "profile", "device", "trainer", "created", "platform", "key", "source")


def export_run(run: Run, path: Path) -> ExportRun:
    """The run at ``path``. What a continued run rewrites (``session``) is no part of its identity."""
    same = {key: run.info.get(key) for key in ("config", "seed", "created", "key")}
    first = [to_line(event) for event in run.events[:1]]
    return ExportRun(
        name=name_of(path),
        identity=_digest([name_of(path), json.dumps(spell(same), sort_keys=True, default=str), *first])[:16],
        started=_started(run),
        config=_config(run),
        facts=_facts(run),
    )


def name_of(path: Path) -> str:
    """The folder's name; that of the folder above a bare ``events.jsonl``, a file's without its ending."""
    place = path.resolve()
    name = place.parent.name if place.name == "events.jsonl" else place.name if place.is_dir() else place.stem
    return clean(name, 120).lstrip(".") or "run"


def digest_of(run: Run, verdicts: Sequence[Verdict]) -> str:
    """sha256 of all that an export of this run shows: its events, its end and its verdicts."""
    done = json.dumps(spell(run.done), sort_keys=True, default=str)
    judged = (f"{it.name} {KINDS[kind(it)]} {message(it)}" for it in verdicts)
    return _digest([*map(to_line, run.events), done, str(run.death), *judged])


def verdict_of(verdicts: Sequence[Verdict]) -> str | None:
    """``passed: 36 of 36``, or ``failed: loss_balance, finite``; None where nothing was judged."""
    failed = [it.name for it in verdicts if bad(it)]
    if failed:
        return f"failed: {', '.join(failed)}"
    passed = sum(it.status in (Status.PASSED, Status.WARNING) for it in verdicts)
    return f"passed: {passed} of {len(verdicts)}" if passed else None


def _digest(lines: Sequence[str]) -> str:
    whole = hashlib.sha256()
    for line in lines:
        whole.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return whole.hexdigest()


def _started(run: Run) -> float:
    """When it began, in seconds since 1970; a recorded run that does not say so begins now."""
    begins = run.of(ev.Begin)
    for stamp in (begins[0].time if begins else None, run.info.get("created")):
        began = seconds_of(stamp)
        if began is not None and 0 < began < 4e9:
            return began - (begins[0].t if begins else 0.0)
    return time.time()


def _config(run: Run) -> dict[str, Any]:
    """The config with the seed; texts without the characters that other tools refuse."""
    spelled = spell({**run.config} if run.seed is None else {"seed": run.seed, **run.config})
    return {str(key): value for key, value in _cleaned(spelled).items()}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value, 6000)
    if isinstance(value, dict):
        return {clean(key, 240): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def _facts(run: Run) -> dict[str, str]:
    found = {key: clean(run.info[key], 1000) for key in FACTS if isinstance(run.info.get(key), str)}
    versions = run.info.get("versions")
    if isinstance(versions, dict):
        found |= {f"versions.{clean(key, 60)}": clean(value, 60) for key, value in versions.items()}
    return found
