"""Tables of results: one row a run, a class or an evaluation, which are no course of a training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lvmcheck.errors import InputError, several
from lvmcheck.readers._columns import folded
from lvmcheck.readers._numbers import NotANumberError, is_empty, number
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import by_name


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


REPORT = frozenset({"precision", "recall", "support"})
CHOSEN = words(
    """model model_name models method architecture arch backbone network algorithm experiment experiment_name exp
    config configuration variant optimizer optim activation dataset run run_name run_id trial trial_id params loss_fn
    loss_function scheduler class label index"""
)
"""What is chosen before a run, in words: its name in a table of runs."""
SIZES = words(
    """hidden_size hidden_dim hidden_units n_layers num_layers layers batch_size chunk_len seq_length seq_len dropout
    weight_decay embedding_dim embed_dim d_model n_heads num_heads kernel_size filters units n_estimators max_depth
    lora_rank lora_r grad_clipping seed num_epochs n_epochs fold"""
)
"""What is chosen before a run, in numbers."""
_DATE = re.compile(r"\d+[-/:.]\d+")
FIX = "Give the log of one run; a column epoch or step makes rows moments of one."


def refuse_results(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Refuse rows that state neither epoch nor step and are no moments of one run.

    Raises:
        InputError: a table of experiments, a classification report, or one row of results.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    if {folded(name) for name in names} >= REPORT:
        raise InputError(path, "is a classification report, not the course of a run", fix=FIX)
    differ = [name for name in names if _is_chosen(name, [row.get(name) for row in rows])]
    texts = [name for name in differ if not _numeric(rows, name)]
    known = [name for name in differ if folded(name) in (SIZES if name not in texts else CHOSEN)]
    if len(texts) > 1 or (texts and known) or len(known) > 1:
        what = several([name for name in differ if name in texts or name in known], 3)
        raise InputError(
            path, f"is a table of experiments, one a row ({what} differ), not the course of a run", fix=FIX
        )
    losses = [name for name in names if by_name(name).quantity in (Quantity.LOSS, Quantity.TERM)]
    if len(rows) == 1 and (not losses or any(folded(name) in CHOSEN | SIZES for name in names)):
        raise InputError(path, "holds one row of results, not the course of a run", fix=FIX)


def _is_chosen(name: str, cells: Sequence[object]) -> bool:
    """Whether cells are more than one text that is no date, or more than one number of a setting."""
    said = [cell for cell in cells if not is_empty(cell)]
    if all(_is_number(cell) for cell in said):
        return folded(name) in SIZES and len(set(map(str, said))) > 1
    texts = [cell for cell in said if isinstance(cell, str)]
    return len(set(texts)) > 1 and sum(bool(_DATE.search(text)) for text in texts) < len(texts) / 2


def _numeric(rows: Sequence[Mapping[str, object]], name: str) -> bool:
    return all(_is_number(row.get(name)) for row in rows)


def _is_number(cell: object) -> bool:
    try:
        number(cell)
    except NotANumberError:
        return False
    return True
