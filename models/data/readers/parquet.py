"""Parquet: a column ``vector`` of lists (fixed or variable size) and a column ``article``; pyarrow is optional."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lvmcheck.errors import InputError, nearest
from lvmcheck.extras import install
from models.data.readers.loaded import DIM_LIMIT, ROW_LIMIT, Loaded, check_memory, narrow
from models.data.readers.table import Table

BLOCK = 4096


def read_parquet(path: Path, context: int, *, strict: bool = True) -> Loaded:
    """The windows of a parquet file; article ids are integers, strings or null.

    Raises:
        InputError: pyarrow is missing, the file is damaged, or the columns are not as described.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        problem = "is a parquet file, and pyarrow is not installed"
        raise InputError(path, problem, fix=f"{install('parquet')} adds it.") from None
    table = Table(path, strict=strict)
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow, pa)
            _check_sizes(path, file.metadata)
            for batch in file.iter_batches(BLOCK, columns=["vector", "article"]):
                _add(table, batch)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(path, f"damaged or truncated parquet ({reason})") from None
    return table.finish(context)


def _check_columns(path: Path, schema: Any, pa: Any) -> None:
    names = list(schema.names)
    for key in ("vector", "article"):
        if key not in names:
            held = ", ".join(names[:8]) or "none"
            raise InputError(path, f"no such column; it has {held}", key=key, fix=nearest(key, names))
    kind = schema.field("vector").type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise InputError(path, f"type {kind}; expected a list of floats", key="vector")
    ids = schema.field("article").type
    if not any(
        kind(ids) for kind in (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    ):
        raise InputError(path, f"type {ids}; expected integers or strings", key="article")


def _check_sizes(path: Path, metadata: Any) -> None:
    """Refuse what would not fit before a page is unpacked: lists may be far longer than their compressed bytes."""
    if metadata.num_rows > ROW_LIMIT:
        raise InputError(path, f"{metadata.num_rows} rows; expected at most {ROW_LIMIT}")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    values = sum(column.num_values for column in columns if column.path_in_schema.split(".")[0] == "vector")
    check_memory(path, 4 * values, "vector")
    check_memory(path, max((group.total_byte_size for group in groups), default=0))


def _add(table: Table, batch: Any) -> None:
    """Check one record batch for missing values and unequal widths, then keep it."""
    column = batch.column("vector")
    if column.null_count:
        raise InputError(table.path, f"missing values in rows {len(table)} and on; expected none", key="vector")
    if not len(column):
        return
    widths = np.asarray(column.value_lengths())
    odd = np.flatnonzero(widths != widths[0])
    if len(odd) or not 2 <= widths[0] <= DIM_LIMIT:
        row = int(odd[0]) if len(odd) else 0
        expected = f"{widths[0]}, as in the row before" if len(odd) else f"2 to {DIM_LIMIT}"
        problem = f"{widths[row]} dimensions at row {len(table) + row}; expected {expected}"
        raise InputError(table.path, problem, key="vector")
    values = column.flatten()
    if values.null_count:
        raise InputError(table.path, f"missing numbers in rows {len(table)} and on", key="vector")
    vectors = narrow(values.to_numpy(zero_copy_only=False)).reshape(len(column), -1)
    table.add(vectors, batch.column("article").to_pylist())
