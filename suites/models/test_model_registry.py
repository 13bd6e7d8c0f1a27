"""Models are found by presence; unknown names and wrong parameters are refused before torch is imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from lvmcheck.errors import InputError
from models import registry
from models.lvm.amn import AMN


def test_kinds_are_the_files() -> None:
    files = {path.stem for path in (Path(registry.__file__).parent / "lvm").glob("*.py")} - {"__init__"}
    assert set(registry.model_kinds()) == files
    assert "amn" in files


@pytest.mark.parametrize("kind", registry.model_kinds())
def test_the_source_says_what_the_class_says(kind: str) -> None:
    model = registry.build(kind)
    said = registry.source(kind).parameters
    real = inspect.signature(type(model)).parameters
    assert list(said) == list(real)
    for name, (_, required) in said.items():
        assert required == (real[name].default is inspect.Parameter.empty)


def test_build_passes_parameters_on() -> None:
    model = registry.build("amn", input_dim=10, d_model=4, hidden_dim=6)
    assert isinstance(model, AMN)
    assert model.key.weight.shape == (4, 10)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("amm", {}, "model: run.model.kind: no such model 'amm'. Did you mean 'amn'?"),
        ("../amn", {}, "model: run.model.kind: no such model '../amn'. Did you mean 'amn'?"),
        ("amn", {"d_modl": 4}, "model amn: run.model.d_modl: no such parameter. Did you mean 'd_model'?"),
        ("amn", {"d_model": "4"}, "model amn: run.model.d_model: expected int, got str '4'."),
        ("amn", {"d_model": True}, "model amn: run.model.d_model: expected int, got bool True."),
        ("amn", {"d_model": 0}, "model amn: run.model.d_model: expected a width or count of at least 1, got 0."),
    ],
)
def test_mistakes_are_named(kind: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        registry.build(kind, **params)
    assert str(caught.value) == message


def test_a_file_that_is_no_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.py").write_text("class A: ...\nclass B: ...\n", encoding="utf-8")
    (tmp_path / "loose.py").write_text("class A:\n    def __init__(self, width, *, kind: str): ...\n", encoding="utf-8")
    (tmp_path / "needs.py").write_text("class A:\n    def __init__(self, width: int): ...\n", encoding="utf-8")
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    with pytest.raises(InputError, match="expected one public class, got 2"):
        registry.source("two")
    with pytest.raises(InputError, match="parameter width: expected one of int, float, bool, str, got ''"):
        registry.source("loose")
    with pytest.raises(InputError, match=r"run\.model\.width: expected a value, got none"):
        registry.check_parameters("needs", {})


def test_checking_needs_no_torch() -> None:
    code = (
        "import sys; from models.registry import check_parameters, model_kinds\n"
        "check_parameters('amn', {'d_model': 256}); model_kinds()\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=180)
