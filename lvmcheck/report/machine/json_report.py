"""The JSON report: the session's parts field by field, with a digest over the content, and its schema.

The digest shows that the file is whole and as it was written. It protects against accidents and careless edits, not
against somebody who can run code where the report is written: they can compute it as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from lvmcheck.checks.verdict_json import from_json, plain_json, with_messages
from lvmcheck.errors import InputError
from lvmcheck.report.machine.session import FORMAT, SessionReport

MAX_BYTES = 64 << 20
DIGEST = "digest"
SCHEMA_ID = "lvmcheck-report-3"


def canonical(body: dict[str, Any]) -> bytes:
    """The content as bytes that do not depend on white space or the order of keys."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def to_json(report: SessionReport) -> dict[str, Any]:
    """Plain values with the digest; numbers that are not finite are spelled out."""
    body = plain_json(report)
    assert isinstance(body, dict)
    return with_digest(body)


def with_digest(body: dict[str, Any]) -> dict[str, Any]:
    """Plain values with the digest of their content."""
    return {**body, DIGEST: hashlib.sha256(canonical(body)).hexdigest()}


def render(report: SessionReport) -> str:
    return json.dumps(to_json(report), indent=1, allow_nan=False) + "\n"


def read(path: Path) -> SessionReport:
    """The report in a file.

    Raises:
        InputError: it cannot be read, is too large, of another version, not as the schema says, or was edited.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise InputError(path, f"expected at most {MAX_BYTES >> 20} MB, got more")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise InputError(path, f"expected a JSON report, got {problem}") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        got = body.get("format") if isinstance(body, dict) else type(body).__name__
        raise InputError(path, f"expected a report of format {FORMAT}, got {got!r}", key="format")
    return _typed(path, body)


def _typed(path: Path, body: dict[str, Any]) -> SessionReport:
    digest = body.pop(DIGEST, None)
    try:
        whole = hashlib.sha256(canonical(body)).hexdigest()
    except ValueError:
        whole = None  # a number that is not finite, which no report has
    if digest != whole:
        raise InputError(path, "its content does not match its digest: it was edited or is not whole", key=DIGEST)
    return from_json(SessionReport, body, str(path))


def schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the report."""
    from pydantic import TypeAdapter

    body = with_messages(TypeAdapter(SessionReport).json_schema(mode="serialization"))
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$", "title": "Digest"}
    body["properties"] = {**body["properties"], "format": {"const": FORMAT}, DIGEST: digest}
    body["required"] = [*body["properties"]]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, "title": "lvmcheck report"}
    return {**head, **{key: value for key, value in body.items() if key != "title"}}


def write_text(path: Path, text: str) -> None:
    """Publish a file: a reader sees the old one or the new one, never a part.

    Raises:
        InputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        raise cannot_write(path, problem) from None


def cannot_write(path: Path, problem: OSError) -> InputError:
    return InputError(path, f"cannot be written: {problem.strerror or str(problem)}")


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), json.dumps(schema(), indent=1) + "\n")
