"""Prediction in three lines from checkpoints and exported programs, and what both refuse."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.checkpoints import export as program_file
from models.checkpoints.checkpoint import Description, architecture, publish, sha256, snapshot
from models.checkpoints.predictor import Predictor, export
from models.lvm.amn import AMN
from suites.models.family import CONTEXT, contexts, small, small_options, train

torch.set_num_threads(1)
KIND, WHAT, WIDTH = "lstm", "16 October on", 12  # it has dropout: evaluation mode shows


def saved(folder: Path) -> Path:
    """A run directory with one checkpoint of a model that has been trained a little."""
    model = small(KIND, WHAT)
    train(model, 3)
    params = {"input_dim": WIDTH, **small_options(KIND, WHAT)}
    about = Description(name="best", kind=KIND, params=params, architecture=architecture(model), epoch=1, step=3)
    return publish(folder / "checkpoints", snapshot(model, contexts(4), about))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def program(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "lstm.pt2"
    export(checkpoint, path)
    return path


@pytest.fixture
def copied(program: Path, tmp_path: Path) -> Path:
    """The exported program, to be changed."""
    shutil.copy(program.with_suffix(".json"), tmp_path)
    return Path(shutil.copy(program, tmp_path))


# -- predicting --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", ["checkpoint", "run", "export"])
def test_arrays_and_tensors_one_and_many(source: str, checkpoint: Path, program: Path) -> None:
    path = {"checkpoint": checkpoint, "run": checkpoint.parents[1], "export": program}[source]
    predict = Predictor.load(path)
    assert (predict.kind, predict.width, predict.context) == (KIND, WIDTH, CONTEXT)
    x = contexts(7)
    prediction = predict(x)
    assert not prediction.requires_grad
    assert not prediction.is_inference()
    torch.testing.assert_close(prediction.norm(dim=1), torch.ones(7))
    assert torch.equal(predict(x), prediction), "evaluation mode: no dropout"
    array = predict(x.numpy())
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, prediction.numpy())
    torch.testing.assert_close(predict(x[3]), prediction[3], rtol=0, atol=1e-6)
    assert predict(x[:0]).shape == (0, WIDTH)


def test_the_export_predicts_what_the_checkpoint_predicts(checkpoint: Path, program: Path) -> None:
    x = contexts(33, seed=5)
    torch.testing.assert_close(Predictor.load(program)(x), Predictor.load(checkpoint)(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_other_precisions_are_computed_in_float32(checkpoint: Path, dtype: Any) -> None:
    predict, x = Predictor.load(checkpoint), contexts(3).numpy()
    got = predict(x.astype(dtype))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, predict(x), atol=2e-3)


def test_a_view_is_read_and_nothing_is_written(checkpoint: Path) -> None:
    predict = Predictor.load(checkpoint)
    x = contexts(6).numpy()
    x.flags.writeable = False
    np.testing.assert_array_equal(predict(x), predict(x.copy()))
    np.testing.assert_array_equal(predict(x[::2]), predict(x[::2].copy()))


def nan_in_row_two() -> NDArray[np.float32]:
    x = contexts(4).numpy()
    x[2, 1, 3] = np.nan
    return x


@pytest.mark.parametrize(
    ("context", "problem"),
    [
        (np.zeros((2, CONTEXT, 11), np.float32), "expected a context [B, 5, 12], got [2, 5, 11]"),
        (np.zeros((2, 4, WIDTH), np.float32), "expected a context [B, 5, 12], got [2, 4, 12]"),
        (np.zeros(WIDTH, np.float32), "expected a context [B, 5, 12], got [12]"),
        (np.zeros((2, CONTEXT, WIDTH), np.int64), "expected a context of float16, float32 or float64, got int64"),
        (np.array([["a"]]), "expected a context of float16, float32 or float64, got <U1"),
        (
            np.zeros((2, CONTEXT, WIDTH), np.complex64),
            "expected a context of float16, float32 or float64, got complex64",
        ),
        (nan_in_row_two(), "context 2: expected finite numbers, got NaN or infinity"),
    ],
)
def test_contexts_that_cannot_be_are_named(checkpoint: Path, context: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Predictor.load(checkpoint)(context)
    assert str(caught.value) == f"model lstm: {problem}."


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a checkpoint with a manifest\.json, got no such folder"):
        Predictor.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere\.json: cannot be read"):
        Predictor.load(tmp_path / "nowhere.pt2")


# -- exporting ---------------------------------------------------------------------------------------------------------
def test_the_json_says_what_the_export_is(program: Path) -> None:
    said = json.loads(program.with_suffix(".json").read_text())
    assert (said["kind"], said["width"], said["context"]) == (KIND, WIDTH, CONTEXT)
    assert said["parameters"] == sum(p.numel() for p in small(KIND, WHAT).parameters())
    assert 0.0 <= said["difference"] <= 1e-5
    assert said["sha256"] == sha256(program.read_bytes())


def test_an_export_names_no_place_of_this_machine(program: Path) -> None:
    content = program.read_bytes() + program.with_suffix(".json").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b".py" not in content


def test_a_model_is_exported_in_evaluation_mode_and_left_as_it_was(tmp_path: Path) -> None:
    model = small(KIND, WHAT).train()
    predict = export(model, tmp_path / "model.pt2", context=3)
    assert model.training
    x = contexts(4, steps=3)
    torch.testing.assert_close(predict(x), model.eval()(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("to", "context", "problem"),
    [
        ("model.pt", 5, "expected a name that ends in .pt2, got '.pt'"),
        ("model.pt2", None, "expected the context length of a model that is no checkpoint, got none"),
        ("none/model.pt2", 5, "cannot be written"),
    ],
)
def test_exports_that_cannot_be_are_named(tmp_path: Path, to: str, context: int | None, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        export(AMN(12, 4, 4), tmp_path / to, context=context)
    assert not list(tmp_path.iterdir())


def test_a_program_that_disagrees_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_file, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match="expected the exported program to agree within -1"):
        export(AMN(12, 4, 4), tmp_path / "model.pt2", context=5)
    assert not list(tmp_path.iterdir())


def test_an_export_is_no_source(program: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a checkpoint, got an exported program"):
        export(program, tmp_path / "again.pt2")


# -- exports that were changed - ---------------------------------------------------------------------------------------
def repack(path: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> None:
    """Rewrites the archive member by member and makes the JSON agree with it, as somebody who means harm would."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members:
            changed = change(name.partition("/")[2], data)
            if changed is not None:
                archive.writestr(name, changed)
        for name, data in more.items():
            archive.writestr(f"archive/{name}", data)
    path.write_bytes(packed.getvalue())
    agree(path)


def agree(path: Path) -> None:
    content, beside = path.read_bytes(), path.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), "bytes": len(content), "sha256": sha256(content)}))


class Bomb:
    """Unpickled, it changes the environment."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import os; os.environ['LVM_TEST_BOMB'] = 'gone off'",))


def armed(name: str, data: bytes) -> bytes:
    """The change that hides a bomb where torch keeps the example inputs."""
    return pickle.dumps(Bomb()) if name == "data/sample_inputs/model.pt" else data


def replaced(file: str, old: str, new: str) -> Callable[[str, bytes], bytes]:
    """A change that must find what it replaces."""

    def change(name: str, data: bytes) -> bytes:
        if name != file:
            return data
        assert old.encode() in data
        return data.replace(old.encode(), new.encode())

    return change


MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (armed, "a file that no export of ours has"),
        (replaced(WEIGHTS, '"use_pickle": false', '"use_pickle": true'), "a pickle"),
        (replaced(MODEL, "torch.ops.aten.linear.default", "builtins.exec"), "the operator 'builtins.exec'"),
        (replaced(MODEL, "torch.ops.aten.linear.default", "torch.ops.aten.linear.default.x"), "the operator"),
        (replaced(MODEL, "positive=True, integer=True)", "positive=True, integer=True).name.upper()"), "the shape"),
        (replaced(MODEL, '"guards_code": []', '"guards_code": ["import os"]'), "content under 'guards_code'"),
        (replaced(MODEL, '"metadata": {}', '"metadata": {"source_fn_stack": "os"}'), "content under 'metadata'"),
    ],
)
def test_what_could_run_code_is_refused(copied: Path, change: Callable[[str, bytes], bytes | None], got: str) -> None:
    repack(copied, change)
    with pytest.raises(InputError, match=f"expected plain weights and ATen operators, got {got}"):
        Predictor.load(copied)
    assert "LVM_TEST_BOMB" not in os.environ


@pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="LVM_RELIABILITY=full")
@pytest.mark.own_process
def test_torch_itself_sets_off_what_is_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check the file above runs what it likes: the check is needed, and the bomb is real."""
    monkeypatch.setenv("LVM_TEST_BOMB", "waiting")
    repack(copied, armed)
    with pytest.raises(RuntimeError):
        torch.export.load(copied)
    assert os.environ["LVM_TEST_BOMB"] == "gone off"


def test_custom_objects_and_unknown_files_are_refused(copied: Path) -> None:
    repack(copied, lambda _, data: data, **{"data/constants/opaque_obj_0": pickle.dumps(Bomb())})
    with pytest.raises(InputError, match="opaque_obj_0: expected plain weights"):
        Predictor.load(copied)


def test_compressed_and_doubled_members_are_refused(copied: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/models/model.json", b"0" * 1_000_000)
    copied.write_bytes(bomb.getvalue())
    agree(copied)
    with pytest.raises(InputError, match="a compressed file"):
        Predictor.load(copied)
    doubled = io.BytesIO()
    with zipfile.ZipFile(doubled, "w") as archive:
        archive.writestr("archive/byteorder", b"little")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("archive/byteorder", b"big")
    copied.write_bytes(doubled.getvalue())
    agree(copied)
    with pytest.raises(InputError, match="two files of one name"):
        Predictor.load(copied)


def test_an_untouched_repack_is_read(copied: Path) -> None:
    """The refusals above are for what was changed, not for having been packed anew."""
    repack(copied, lambda _, data: data)
    assert Predictor.load(copied)(contexts(2)).shape == (2, WIDTH)


@pytest.mark.parametrize("cut", [0, 1, 1000, -1])
def test_changed_bytes_are_refused(copied: Path, cut: int) -> None:
    copied.write_bytes(copied.read_bytes()[:cut])
    with pytest.raises(InputError, match="does not match the sha256 in its JSON"):
        Predictor.load(copied)
    agree(copied)
    with pytest.raises(InputError, match="expected an exported program, got something else"):
        Predictor.load(copied)


def test_a_missing_part_is_refused(copied: Path) -> None:
    repack(copied, lambda name, data: None if name == "data/weights/weight_0" else data)
    with pytest.raises(InputError, match="torch cannot read it"):
        Predictor.load(copied)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "format: expected format 1, got 2"),
        ({"format": True}, "format: expected int, got bool"),
        ({"width": "12"}, "width: expected int, got str"),
        ({"kind": None}, "kind: expected str, got NoneType"),
    ],
)
def test_a_wrong_description_is_named(copied: Path, change: dict[str, Any], problem: str) -> None:
    beside = copied.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **change}))
    with pytest.raises(InputError, match=problem):
        Predictor.load(copied)
    beside.write_text("[1]")
    with pytest.raises(InputError, match="format: expected int, got list"):
        Predictor.load(copied)
    beside.write_text("{")
    with pytest.raises(InputError, match="expected JSON, got something else"):
        Predictor.load(copied)


def test_no_device_but_the_cpu_for_exports(program: Path) -> None:
    with pytest.raises(InputError, match="device: an exported program runs on the CPU, got device 'cuda'"):
        Predictor.load(program, device="cuda")
    assert Predictor.load(program, device="auto").device.type == "cpu"


def test_a_device_that_is_not_here_is_named(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="best-000001: device: no device 'cdua' here; there is: "):
        Predictor.load(checkpoint, device="cdua")
