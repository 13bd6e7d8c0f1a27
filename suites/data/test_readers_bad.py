"""Every way a file of vectors can be wrong, and the one sentence it gets. No message carries a traceback."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.data.dataset import open_data
from models.data.readers import loaded as loaded_module
from models.data.stored import read

N, T, D = 40, 5, 8


def unit(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    vectors = np.random.default_rng(sum(shape)).standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(dtype)


def members(**changes: Any) -> dict[str, Any]:
    base = {"context_sequences": unit(N, T, D), "target_vectors": unit(N, D)}
    return {key: value for key, value in (base | changes).items() if value is not None}


def npz(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, **members(**changes))
    return path


def error(path: Path, context: int = T) -> str:
    with pytest.raises(InputError) as caught:
        read(path, context)
    said = str(caught.value)
    assert said.startswith(str(path.parent))
    assert "\n" not in said
    assert "allow_pickle" not in said
    return said[len(str(path)) :].removeprefix(": ")


def put(vectors: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    vectors[place] = value
    return vectors


# ---- what the path is -------------------------------------------------------------------------------------------


def test_missing_path_offers_the_nearest_name(tmp_path: Path) -> None:
    npz(tmp_path)
    assert error(tmp_path / "dta.npz") == "not found. Did you mean 'data.npz'?"
    assert error(tmp_path / "no" / "x.npz").startswith("not found. The folder")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "got an empty file"),
        (b"<!DOCTYPE html><html>404</html>", "got an HTML page. A download probably saved an error page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "got a git-lfs pointer. Run git lfs pull"),
        (b"hello, vectors", "got a text file"),
        (b"\x80\x04\x95\x00", "got a pickle. Pickled data are never read"),
        (b"\x1f\x8b\x08", "got a gzip file"),
        (b"\x00\xff\x00\xff", "got an unknown binary file"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    assert error(path).startswith(f"expected an npz (zip) archive, {said}")


def test_things_that_are_not_files_do_not_hang(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert error(fifo) == "is not a regular file; expected a file of vectors."
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert error(loop).startswith("cannot be read: ")


@pytest.mark.own_process
def test_unreadable_file(tmp_path: Path) -> None:
    path = npz(tmp_path)
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # root may read everything, so be somebody else for a moment
        os.seteuid(65534)
    try:
        assert error(path) == "cannot be read: Permission denied."
    finally:
        if root:
            os.seteuid(0)


def test_folder_without_vectors(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    assert error(tmp_path / "set") == "folder without vectors.npy; it holds nothing. None exist."
    np.save(tmp_path / "set" / "vector.npy", unit(9, 4))
    said = error(tmp_path / "set")
    assert said == "folder without vectors.npy; it holds vector.npy. Did you mean 'vector.npy'?"


# ---- what the arrays are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"context_sequences": None, "context_vectors": unit(N, T, D)},
            "no array 'context_sequences' or 'contexts' (context vectors [N, T, D], or else 'vectors' [M, D] with "
            "'article' [M]); it holds context_vectors, target_vectors. Did you mean 'context_vectors'?",
        ),
        ({"target_vectors": None}, "no array 'target_vectors' or 'targets' (target vectors [N, D]); it holds "),
        ({"target_vectors": unit(N, D + 1)}, "target_vectors: shape [40, 9]; expected float targets [40, 8], as "),
        ({"target_vectors": unit(N - 1, D)}, "target_vectors: shape [39, 8]; expected float targets [40, 8], as "),
        (
            {"context_sequences": unit(N, T * D)},
            "context_sequences: shape [40, 40]; expected float contexts [N, T, D].",
        ),
        ({"context_sequences": unit(0, T, D), "target_vectors": unit(0, D)}, "context_sequences: holds no rows"),
        ({"target_vectors": np.ones((N, D), np.int32)}, "target_vectors: dtype int32; expected float targets [40, 8]"),
        ({"target_vectors": unit(N, D).astype(">f4")}, "target_vectors: big-endian dtype >f4; expected little-endian"),
        ({"target_vectors": unit(N, D).astype(complex)}, "target_vectors: dtype complex128; expected float targets"),
        ({"target_vectors": np.asfortranarray(unit(N, D))}, "target_vectors: is stored in Fortran order; expected C"),
        (
            {"target_vectors": np.array([[None]], dtype=object)},
            "target_vectors: array of Python objects or records (dtype |O); expected float targets [40, 8], as "
            "context_sequences has [40, 5, 8]. Objects are pickled and never read: save numbers.",
        ),
        ({"article_ids": np.zeros(3, int)}, "article_ids: shape [3]; expected [40] integers, one for each window."),
        ({"article_ids": np.zeros(N)}, "article_ids: dtype float64; expected [40] integers, one for each window."),
        (
            {"context_sequences": put(put(unit(N, T, D), (31, 3, 7), np.nan), (33, 0, 0), np.inf)},
            "context_sequences: 2 NaN or infinite values, first at [row 31, ctx 3, dim 7]; expected finite vectors.",
        ),
        (
            {"target_vectors": put(unit(N, D), (slice(12, 15),), 0.0)},
            "target_vectors: 3 of 40 vectors are zero, first at [row 12]; expected unit vectors. A zero vector is ",
        ),
        (
            {"target_vectors": 3 * unit(N, D)},
            "target_vectors: 40 of 40 vectors are off unit length by more than 0.01, first at [row 0]; lengths run "
            "from 3 to 3 with mean 3. Divide each vector by its length before saving.",
        ),
        ({"target_vectors": put(unit(N, D), (4, 2), 1e38)}, "target_vectors: 1 of 40 vectors are off unit length"),
    ],
)
def test_wrong_arrays_in_an_npz(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert error(npz(tmp_path, **changes)).startswith(said)


@pytest.mark.parametrize("kind", ["windows", "store", "folder", "parquet"])
def test_a_float64_too_large_for_float32_is_infinite_in_every_reader(tmp_path: Path, kind: str) -> None:
    big = put(unit(N, D, dtype=np.float64), (3, 1), 1e300)
    path = tmp_path / kind
    if kind == "windows":
        np.savez(path.with_suffix(".npz"), contexts=unit(N, T, D), targets=big)
    elif kind == "store":
        np.savez(path.with_suffix(".npz"), vectors=big, article=np.zeros(N, int))
    elif kind == "folder":
        np.save(path.with_suffix(".npy"), big)
    else:
        pa = pytest.importorskip("pyarrow")
        table = pa.table({"vector": big.tolist(), "article": [0] * N})
        pytest.importorskip("pyarrow.parquet").write_table(table, path.with_suffix(".parquet"))
    (path,) = tmp_path.iterdir()
    assert "1 NaN or infinite values, first at [row 3, dim 1]; expected finite vectors" in error(path)


def test_norms_within_tolerance_are_accepted(tmp_path: Path) -> None:
    assert len(read(npz(tmp_path, target_vectors=1.009 * unit(N, D)), T).windows) == N


def test_own_format_needs_articles_that_are_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, vectors=unit(30, D))
    assert error(path).startswith("no array 'article' (the article of each row")
    np.savez(path, vectors=unit(30, D), article=np.arange(30) // 5)
    said = "no article is long enough: the longest has 5 chunks, context 5 and its target need 6."
    assert error(path) == f"{said} Set data.context to at most 4."
    np.savez(path, vectors=unit(30, D), article=np.arange(30) // 10, starts=np.array([7, 99]))
    assert error(path) == "starts: none of its 2 windows lies inside an article."


def test_folder_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", unit(20, D))
    np.save(tmp_path / "article.npy", np.zeros(19, np.int32))
    said = "article: shape [19]; expected [20] integers, one for each row of vectors.npy."
    assert error(tmp_path) == f"/article.npy: {said}"
    np.save(tmp_path / "vectors.npy", put(unit(20, D), (6, 3), np.inf))
    assert error(tmp_path).startswith("/vectors.npy: vectors: 1 NaN or infinite values, first at [row 6, dim 3]")
    np.save(tmp_path / "vectors.npy", unit(2, 3, D))
    assert error(tmp_path).startswith("/vectors.npy: vectors: shape [2, 3, 8]; expected [M, D] float32 or float16")
    np.save(tmp_path / "vectors.npy", np.array([{}], dtype=object))
    assert "Objects are pickled and never read" in error(tmp_path)


# ---- hostile bytes ----------------------------------------------------------------------------------------------


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header_bytes(text: str, payload: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + payload


def raw_npz(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 8), }",
            "header promises 1000000000000 x 8",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 8), }", "npy header is malformed"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 8), }", "npy header is malformed"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }" % ("1," * 65), "npy header gives an impossible"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", "npy header gives an impos"),
        ("(" * 300 + ")" * 300, "npy header is malformed"),
        ("__import__('os').system('true')", "npy header is malformed"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 8), }", "array of Python objects or records"),
        ("x" * 20_000, "npy header of 20000 bytes; expected at most 10000"),
    ],
)
def test_headers_that_lie(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "vectors.npy"
    path.write_bytes(header_bytes(text, b"\0" * 64))
    assert error(path).removeprefix("vectors: ").startswith(said)


def test_npy_longer_or_shorter_than_its_header(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    whole = npy_bytes(unit(20, D))
    path.write_bytes(whole[:-1])
    assert error(path) == "vectors: header promises 20 x 8 float32 = 768 bytes, there are 767: truncated."
    path.write_bytes(whole + b"\0")
    assert error(path).endswith("there are 769: the header lies or bytes were appended.")


def test_bad_archives_are_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    good = {"context_sequences.npy": npy_bytes(unit(N, T, D)), "target_vectors.npy": npy_bytes(unit(N, D))}
    bomb = header_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (25000000, 8), }", b"\0" * 10**8)
    raw_npz(path, good | {"bomb.npy": bomb}, zipfile.ZIP_DEFLATED)
    assert re.match(r"member 'bomb.npy' declares 100000\d\d\d bytes in \d+ packed: a zip bomb", error(path))
    raw_npz(path, good | {"../x.npy": b""})
    assert error(path) == "member '../x.npy' is not an array; expected names like 'contexts.npy'."
    raw_npz(path, good | {"a": b""})
    assert error(path).startswith("member 'a' is not an array")
    raw_npz(path, good | {f"a{i}.npy": b"" for i in range(70)})
    assert error(path) == "72 members; expected at most 64."
    raw_npz(path, good, zipfile.ZIP_BZIP2)
    assert error(path) == "member 'context_sequences.npy' uses compression method 12."
    raw_npz(path, {"targets.npy": good["target_vectors.npy"], "targetz.npy": good["target_vectors.npy"]})
    path.write_bytes(path.read_bytes().replace(b"targetz", b"targets"))
    assert error(path) == "member 'targets.npy' occurs 2 times."


def test_encrypted_member(tmp_path: Path) -> None:
    path = npz(tmp_path)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    assert error(path) == "member 'context_sequences.npy' is encrypted."


def test_a_size_that_the_directory_lies_about(tmp_path: Path) -> None:
    path = npz(tmp_path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 10**6)  # unpacked size of the first member
    path.write_bytes(data)
    assert "context_sequences: header promises 40 x 5 x 8 float32" in error(path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_truncated_or_flipped_archives_never_load_and_never_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = npz(tmp_path_factory.mktemp("flip"))
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        error(path)
        return
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(whole)
    changed[place] ^= 1 << bit
    path.write_bytes(changed)
    try:
        found = read(path, T)
    except InputError:
        error(path)
    else:  # a bit that carries no data (a date, a comment's length): what was read is what was written
        context, target = found.windows.batch(slice(None))
        np.testing.assert_array_equal(context, members()["context_sequences"])
        np.testing.assert_array_equal(target, members()["target_vectors"])


def test_no_pickle_is_ever_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (canary,))

    objects = np.array([Evil()], dtype=object)
    read(npz(tmp_path, metadata=objects), T)
    error(npz(tmp_path, target_vectors=objects))
    assert not canary.exists()


# ---- sizes ------------------------------------------------------------------------------------------------------


def test_more_than_the_memory_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_module, "available_memory", lambda: loaded_module.SPARE + 100)
    said = error(npz(tmp_path))
    assert said.startswith("needs 0.0 GiB of memory for its vectors, 0.3 GiB are available. Save them as a folder")


def test_available_memory_is_plausible() -> None:
    assert 2**26 < loaded_module.available_memory() < 2**50


def test_too_few_windows_to_split(tmp_path: Path) -> None:
    path = npz(tmp_path, context_sequences=unit(1, T, D), target_vectors=unit(1, D))
    with pytest.raises(InputError, match="1 window; expected at least 2, one to train on and one to validate"):
        open_data({"path": str(path)}, seed=0)


def test_ood_of_another_width(tmp_path: Path) -> None:
    path = npz(tmp_path)
    other = tmp_path / "other.npz"
    np.savez(other, context_sequences=unit(N, T, 9), target_vectors=unit(N, 9))
    with pytest.raises(InputError, match=r"other.npz: vectors have 9 dimensions; expected 8, as in .*data.npz"):
        open_data({"path": str(path), "ood": [str(other)]}, seed=0)
