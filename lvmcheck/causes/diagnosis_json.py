"""The JSON form of a diagnosis: its fields as they are, and ``message`` for people, which no reader takes apart."""

from __future__ import annotations

from typing import Any

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.verdict_json import plain_json


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Plain values; the standing by its name."""
    body = {**plain_json(diagnosis), "standing": diagnosis.standing.name.lower()}
    return {**body, "message": diagnosis_sentence(diagnosis)}
