"""The table in docs/models.md is what the classes say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import registry
from models.lvm.parts import manual
from models.lvm.parts.vector_model import VectorModel

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_holds_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text.count(manual.BEGIN) == text.count(manual.END) == 1
    held = text.split(manual.BEGIN)[1].split(manual.END)[0]
    assert held == f"\n{manual.table()}", "run: python -m models.lvm.parts.manual, and put it between the marks"


def test_every_kind_explains_every_parameter() -> None:
    text = manual.table()
    for kind in registry.model_kinds():
        section = text.split(f"### {kind}\n")[1].split("\n### ")[0]
        for name in registry.source(kind).parameters:
            assert f"\n- `{name}`: " in section, f"{kind} does not explain {name}"


@pytest.mark.parametrize("kind", registry.model_kinds())
def test_every_kind_keeps_the_contract(kind: str) -> None:
    with torch.device("meta"):
        model = registry.build(kind)
    assert isinstance(model, VectorModel)
    assert not model.variants[0].options, "the first variant is the default"
    assert len({variant.what for variant in model.variants}) == len(model.variants)
    assert model.kind == kind
