"""The [run.optimizer] table: presets, what is refused and in which words."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.optim.config import GROUPS, parse
from models.optim.factory import build
from models.optim.mugrokfast import MuGrokfast
from models.optim.presets import PRESETS
from suites.optim.slow_twin import SmallNet


def test_what_is_not_said_comes_from_the_preset() -> None:
    plain = parse({})
    assert (plain.preset, plain.muon_lr, plain.lr) == ("phase1", 1e-3, 1e-3)
    assert (plain.grokfast_alpha, plain.grokfast_lambda, plain.momentum) == (0.98, 0.3, 0.95)
    mixed = parse({"preset": "reduced", "lr": 2e-3})
    assert (mixed.muon_lr, mixed.lr, mixed.grokfast_lambda) == (5e-3, 2e-3, 0.02)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    preset=st.sampled_from(sorted(PRESETS)),
    said=st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(0, 1),
            "muon_lr": st.floats(0, 1),
            "weight_decay": st.floats(0, 1),
            "group_lr": st.dictionaries(st.sampled_from(sorted(GROUPS)), st.floats(0, 1)),
        },
    ),
)
def test_every_preset_builds_and_resolves_to_itself(preset: str, said: dict[str, Any]) -> None:
    config = parse({"preset": preset, **said})
    assert parse(config.model_dump(mode="json")) == config
    optimizer = build(SmallNet(), config)
    assert isinstance(optimizer, MuGrokfast)
    for group in optimizer.param_groups:
        fallback = config.muon_lr if group["kind"] == "muon" else config.lr
        assert group["lr"] == config.group_lr.get(group["name"], fallback)
        assert group["grokfast_lambda"] == config.grokfast_lambda
        assert group["momentum"] == config.momentum


def test_adamw_keeps_the_groups_and_has_nothing_of_muon() -> None:
    config = parse({"kind": "adamw", "lr": 2e-3, "group_lr": {"hidden": 1e-3}})
    assert parse(config.model_dump(mode="json")) == config
    assert config.muon_lr is None
    groups = build(SmallNet(), config).param_groups
    assert [(g["name"], g["kind"], g["lr"]) for g in groups] == [
        ("hidden", "adamw", 1e-3),
        ("embedding", "adamw", 2e-3),
        ("scalar", "adamw", 2e-3),
    ]


@pytest.mark.parametrize(
    ("table", "key", "problem"),
    [
        ({"preset": "phase2"}, "preset", "no such preset 'phase2'. Did you mean 'phase1'?"),
        ({"preset": 3}, "preset", "no such preset 3"),
        ({"kind": "mugrokfats"}, "kind", "got string 'mugrokfats'. Did you mean 'mugrokfast'?"),
        ({"lr": -1e-3}, "lr", "expected at least 0, got -0.001"),
        ({"muon_lr": float("nan")}, "muon_lr", "got nan"),
        ({"lr": "fast"}, "lr", "got string 'fast'"),
        ({"lr": True}, "lr", "got true"),
        ({"grokfast_alpha": 1.0}, "grokfast_alpha", "expected less than 1, got 1.0"),
        ({"grokfast_lamda": 0.3}, "grokfast_lamda", "unknown key. Did you mean 'grokfast_lambda'?"),
        ({"group_lr": {"hiden": 1e-3}}, "group_lr.hiden", "no such parameter group. Did you mean 'hidden'?"),
        ({"group_lr": {"hidden": -1.0}}, "group_lr.hidden", "expected at least 0, got -1.0"),
        ({"kind": "adamw", "muon_lr": 1e-2}, "muon_lr", "only kind 'mugrokfast' has it, got kind 'adamw'"),
        ({"kind": "adamw", "preset": "phase1"}, "preset", "only kind 'mugrokfast' has it"),
    ],
)
def test_bad_tables_are_refused(table: dict[str, Any], key: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(table)
    assert caught.value.key == f"run.optimizer.{key}"
    assert problem in str(caught.value)


def test_a_rate_for_a_group_that_the_model_lacks_is_refused() -> None:
    net = SmallNet()
    net.table.requires_grad_(False)
    with pytest.raises(InputError) as caught:
        build(net, parse({"group_lr": {"embedding": 1e-3}}))
    assert caught.value.key == "run.optimizer.group_lr.embedding"


def test_a_table_is_checked_without_torch() -> None:
    code = "import sys, models.optim.config as c; c.parse({'preset': 'v1_document'}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
