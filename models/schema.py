"""What the schemas of all trainers share: pydantic's first error as one sentence with the dotted key below [run]."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lvmcheck.errors import InputError, nearest

Schema = TypeVar("Schema", bound=BaseModel)
_TYPES = {"int": "an integer", "float": "a number", "string": "a string", "bool": "true or false", "list": "a list"}
_TYPES |= {"dict": "a table", "model": "a table"}


def checked(schema: type[Schema], config: Mapping[str, object], where: str) -> Schema:
    """``config`` as an instance of ``schema``.

    Args:
        where: the trainer, as the person would name it.

    Raises:
        InputError: the first thing wrong; ``key`` is its dotted path below [run].
    """
    try:
        return schema.model_validate(dict(config))
    except InputError as error:
        raise below_run(error) from None
    except ValidationError as error:
        raise _plain(error.errors(include_url=False)[0], schema, where) from None


def below_run(error: InputError) -> InputError:
    """The same error with its key below [run]."""
    key = None if error.key is None else error.key.removeprefix("run.")
    return InputError(error.where, error.problem, line=error.line, key=key, fix=error.fix)


def _plain(error: ErrorDetails, schema: type[BaseModel], where: str) -> InputError:
    """Pydantic's error in our words."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return below_run(cause)
    fix = None
    path = [str(part) for part in error["loc"]]
    key, got, kind = ".".join(path), error["input"], error["type"]
    table = _table(schema, path[:-1])
    if kind == "extra_forbidden":
        problem, fix = "no such key", nearest(path[-1], table.model_fields)
    elif kind == "missing":
        problem = "expected a value, got none"
    elif kind == "literal_error":
        known = get_args(table.model_fields[path[-1]].annotation)
        problem, fix = f"no such {path[-1]} {got!r}", nearest(str(got), known)
    else:
        problem = f"expected {_wanted(error)}, got {_shown(got)}"
    return InputError(where, problem, key=key, fix=fix)


def _table(schema: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """The schema of the table at ``path``; numbers in it are places in lists."""
    for part in path:
        field = schema.model_fields.get(part)
        if field is None:
            continue
        inner = [kind for kind in _kinds(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        schema = inner[0] if inner else schema
    return schema


def _kinds(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType, list, tuple):
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    return [annotation]


def _wanted(error: ErrorDetails) -> str:
    for kind, words in _TYPES.items():
        if error["type"].startswith(kind):
            return words
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for limit, words in limits.items():
        if limit in error.get("ctx", {}):
            return f"{words} {error['ctx'][limit]:g}"
    return "a finite number" if error["type"] == "finite_number" else error["msg"]


def _shown(value: object) -> str:
    return f"string {value!r}" if isinstance(value, str) else repr(value)[:60]
