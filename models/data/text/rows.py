"""A row of a file or of the hub as a Record: our plain fields, or the fields that a set has where it is published."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from lvmcheck.errors import InputError, nearest
from models.data.text.answers import final_of
from models.data.text.files import Row
from models.data.text.records import Record

NAME_LIMIT = 64
_STEPS = re.compile(r"<<")
_OPERATORS = re.compile(r"(?<=[\d)\s])[-+*/](?=[\d(\s])")


def record_of(name: str, row: Row, where: Path | str, number: int) -> Record:
    """The record of data set ``name`` in ``row``, number ``number`` of ``where``.

    Raises:
        InputError: no question or no answer, or text that is not text.
    """
    plain = _published(name, row)
    question, answer = (_text(plain, key, where, number) for key in ("question", "answer"))
    final = plain.get("final")
    return Record(
        name,
        str(plain.get("id", f"{name}-{number}"))[:NAME_LIMIT],
        question,
        answer,
        final=str(final).strip() if isinstance(final, str) or _is_number(final) else final_of(answer),
        split=str(plain.get("split") or ""),
        difficulty=_difficulty(name, question, answer, plain),
    )


def name_of(row: Row, default: str, where: Path | str, number: int) -> str:
    """The data set that a row says it belongs to, else ``default``."""
    name = row.get("dataset", default)
    if not isinstance(name, str) or not 0 < len(name.strip()) <= NAME_LIMIT:
        problem = f"expected a name of 1 to {NAME_LIMIT} characters, got {name!r:.80}"
        raise InputError(where, problem, line=number, key="dataset")
    return name.strip()


def records_of(found: Iterable[tuple[str, int, Row]], where: Path | str) -> list[Record]:
    """Records of (data set, number, row); an InputError where there is none."""
    records = [record_of(name, row, where, number) for name, number, row in found]
    if not records:
        raise InputError(where, "holds no records; expected at least one question with its answer")
    return records


def _difficulty(name: str, question: str, answer: str, row: Row) -> float:
    """Steps of calculation where the record shows them, lines of code, else words of the question."""
    if name == "gsm8k":
        return float(max(len(_STEPS.findall(answer)), 1))
    if name == "svamp" and isinstance(row.get("equation"), str):
        return float(max(len(_OPERATORS.findall(str(row["equation"]))), 1))
    if name == "mbpp":
        return float(sum(bool(line.strip()) for line in answer.splitlines()))
    return float(len(question.split()))


def _text(row: Row, key: str, where: Path | str, number: int) -> str:
    if key not in row:
        held = ", ".join(map(str, list(row)[:8])) or "no keys"
        problem = f"missing; the record has {held}"
        raise InputError(where, problem, line=number, key=key, fix=nearest(key, map(str, row)))
    value = row[key]
    if key == "answer" and _is_number(value):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(where, f"expected text, got {value!r:.60}", line=number, key=key)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(where, f"half a surrogate pair at character {error.start}", line=number, key=key) from None
    return value.strip().replace("\r\n", "\n")


def _published(name: str, row: Row) -> Row:
    """The plain fields of a row in the form in which its set is published; other rows as they are."""
    if name == "svamp" and {"Body", "Question", "Answer"} <= row.keys():
        answer = _whole(row["Answer"])
        question = _joined(row["Body"], row["Question"])
        return {**_own(row, "ID"), "question": question, "answer": answer, "equation": row.get("Equation")}
    if name == "mbpp" and "code" in row and ("text" in row or "prompt" in row):
        return {**_own(row, "task_id"), "question": row.get("text", row.get("prompt")), "answer": row["code"]}
    if name in ("arc_easy", "arc_challenge") and "answerKey" in row and isinstance(row.get("choices"), dict):
        choices = row["choices"]
        assert isinstance(choices, dict)
        found = dict(zip(choices.get("label") or (), choices.get("text") or (), strict=False))
        return {**_own(row, "id"), "question": row.get("question"), "answer": found.get(row["answerKey"])}
    if name == "hellaswag" and "endings" in row and "ctx" in row:
        endings, label = row["endings"], str(row.get("label", ""))
        right = isinstance(endings, list) and label.isascii() and label.isdigit() and int(label) < len(endings)
        topic, start = row.get("activity_label"), row["ctx"]
        question = f"{topic}: {start}" if isinstance(topic, str) and topic and isinstance(start, str) else start
        answer = endings[int(label)] if right and isinstance(endings, list) else None
        return {**_own(row, "ind"), "question": question, "answer": answer}
    return row


def _own(row: Row, key: str) -> Row:
    """Number and split of a published row."""
    return {"id": row.get(key, ""), "split": row.get("split", "")}


def _joined(body: object, asked: object) -> object:
    """Story and question as one text; what is not text stays as it is, to be named."""
    if not isinstance(body, str) or not isinstance(asked, str):
        return asked if isinstance(body, str) else body
    body = body.strip()
    return f"{body} {asked.strip()}" if body.endswith((".", "?", "!")) else f"{body}. {asked.strip()}"


def _whole(value: object) -> object:
    """51 for "51.0": SVAMP writes whole numbers as floats."""
    text = str(value).strip() if isinstance(value, str) or _is_number(value) else value
    return text[:-2] if isinstance(text, str) and text.endswith(".0") else text


def _is_number(value: object) -> bool:
    """An int or a finite float: parquet writes a missing number as NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
