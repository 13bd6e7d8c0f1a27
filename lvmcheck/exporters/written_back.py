"""Verdicts as tags of the run that was judged, in W&B's cloud or in an MLflow store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.errors import InputError
from lvmcheck.extras import need
from lvmcheck.readers import detect
from lvmcheck.readers._elsewhere import wandb_name, wandb_run
from lvmcheck.readers._sqlite import store_at
from lvmcheck.run.view import Run

OWN = "lvmcheck:"
"""Beginning of every tag in W&B; earlier ones are replaced."""
VERDICT, FAILED, CHECKS = "lvmcheck.verdict", "lvmcheck.failed", "lvmcheck.checks"
"""Tags of an MLflow run."""
LONGEST, MOST = 60, 20
"""Signs of a tag in W&B, and how many failed checks are named."""
BAD = (Status.FAILED, Status.ERROR)


def write_back(path: Path, run: Run, verdicts: Sequence[Verdict], *, kind: str | None = None) -> str:
    """Tag the run that was read from ``path``; returns where the tags are.

    Raises:
        InputError: a run that has no tags, or whose library is not installed or refuses.
    """
    bad = list(dict.fromkeys(item.check for item in verdicts if item.status in BAD))
    answer = "failed" if bad else "passed"
    name = wandb_name(path)
    if name is not None:
        return _wandb(name, [f"{OWN}{answer}", *(f"{OWN}{check}"[:LONGEST] for check in bad[:MOST])])
    found = kind or detect(path)
    if found not in ("mlflow", "mlflow_files"):
        fix = "Sync it first (wandb sync), then check wandb:ENTITY/PROJECT/RUN." if found == "wandb" else ""
        fix = fix or "Runs in W&B's cloud (wandb:ENTITY/PROJECT/RUN) and in an MLflow store do."
        raise InputError("--tag", f"a run of kind {found} has no tags that could be written", fix=fix)
    judged = sum(item.outcome.finding is not None for item in verdicts)
    return _mlflow(path, found, run, {VERDICT: answer, FAILED: ", ".join(bad[:MOST]), CHECKS: str(judged)})


def _wandb(name: str, tags: list[str]) -> str:
    where, run = wandb_run(name)
    try:
        run.tags = [*(tag for tag in run.tags or () if not str(tag).startswith(OWN)), *tags]
        run.update()
    except Exception as problem:  # its own errors, and those of the network
        said = f"its tags cannot be written ({type(problem).__name__}: {str(problem)[:120]})"
        raise InputError(where, said) from None
    return where


def _mlflow(path: Path, kind: str, run: Run, tags: dict[str, str]) -> str:
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_LOGGING_LEVEL="ERROR")
    module: Any = need("mlflow", extra="export", purpose="writing tags into an MLflow store")
    run_id = str(run.info.get("run_id"))
    store = store_at(path) if kind == "mlflow" else None
    folder = path if path.name == run_id else next(path.glob(f"**/{run_id}"), path)
    address = f"sqlite:///{store.absolute()}" if store is not None else folder.absolute().parents[1].as_uri()
    try:
        client = module.MlflowClient(tracking_uri=address)
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
    except Exception as problem:  # its own errors
        raise InputError(path, f"its tags cannot be written ({type(problem).__name__}: {str(problem)[:120]})") from None
    return f"{store or path} run {run_id}"
