"""The table of models in docs/models.md, made from the classes: ``python -m models.lvm.parts.manual`` prints it."""

from __future__ import annotations

import re
from typing import Any

import torch

from models import registry
from models.lvm.parts.vector_model import Variant, VectorModel

BEGIN, END = "<!-- python -m models.lvm.parts.manual: begin -->", "<!-- python -m models.lvm.parts.manual: end -->"


def table() -> str:
    """One row for each variant of each kind, then the manual of each kind; ends in one newline."""
    rows = ["| kind | variant | options | parameters at 768 | sees the order |", "|---|---|---|---:|---|"]
    entries = []
    for kind in registry.model_kinds():
        shown = meta(kind)
        rows += [row(kind, variant) for variant in shown.variants]
        entries += [f"### {kind}", "", _manual(type(shown)), ""]
    return "\n".join([*rows, "", *entries]).rstrip("\n") + "\n"


def row(kind: str, variant: Variant) -> str:
    """A variant in one line."""
    model = meta(kind, **variant.options)
    count = sum(p.numel() for p in model.parameters())
    options = ", ".join(f"`{name} = {_toml(value)}`" for name, value in variant.options.items())
    return f"| `{kind}` | {variant.what} | {options} | {count:,} | {'yes' if model.order_matters else 'no'} |"


def meta(kind: str, **options: Any) -> VectorModel:
    """The model at its default widths, without memory for its weights."""
    with torch.device("meta"):
        model = registry.build(kind, **options)
    assert isinstance(model, VectorModel), f"models/lvm/{kind}.py is no VectorModel"
    return model


def _manual(model: type[VectorModel]) -> str:
    """The docstring of the class: what it computes, then its parameters as a list."""
    summary, _, parameters = (model.__doc__ or "").partition("\n    Args:\n")
    text = "\n".join(line.strip() for line in summary.strip().splitlines())
    entries = re.split(r"\n {8}(?=\w+: )", parameters.strip())
    lines = (" ".join(entry.split()).split(": ", 1) for entry in entries if entry)
    return "\n".join([text, "", *(f"- `{name}`: {meaning}" for name, meaning in lines)]).replace("``", "`")


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    print(table(), end="")
