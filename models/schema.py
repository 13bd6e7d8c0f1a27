"""What the schemas of all trainers share: the first thing wrong as one sentence with the dotted key below [run]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel

from lvmcheck.errors import BadValueError, InputError
from lvmcheck.validation import validated

Schema = TypeVar("Schema", bound=BaseModel)


def checked(schema: type[Schema], config: Mapping[str, object], where: str) -> Schema:
    """``config`` as an instance of ``schema``.

    Args:
        where: the trainer, as the person would name it.

    Raises:
        InputError: the first thing wrong; ``key`` is its dotted path below [run].
    """
    try:
        return validated(schema, config)
    except InputError as error:
        raise below_run(error) from None
    except BadValueError as error:
        raise InputError(where, error.problem, key=error.key or None, fix=error.fix) from None


def below_run(error: InputError) -> InputError:
    """The same error with its key below [run]."""
    key = None if error.key is None else error.key.removeprefix("run.")
    return InputError(error.where, error.problem, line=error.line, key=key, fix=error.fix)
