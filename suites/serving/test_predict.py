"""/predict: vectors in, vectors out, the same as without a server; whatever does not fit is refused in one sentence."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from lvmcheck.errors import InputError
from models.checkpoints.predictor import Predictor
from suites.serving.kit import CONTEXT, WIDTH, Served, eventually, extras, serving, vector_run

extras()
from models.serving.batcher import Batcher  # noqa: E402
from models.serving.body import NPY, npy_bytes  # noqa: E402
from models.serving.limits import Limits, RefusedError  # noqa: E402
from models.serving.measures import Measures  # noqa: E402

ROWS = np.random.default_rng(0).standard_normal((4, CONTEXT, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(vector_run(tmp_path_factory.mktemp("amn")))


@pytest.fixture(scope="module")
def served(predictor: Predictor) -> Iterator[Served]:
    with serving(predictor, rows=8, body=100_000) as found:
        yield found


def test_predictions_are_those_of_the_model(served: Served, predictor: Predictor) -> None:
    expected = predictor(ROWS)
    status, answer = served.ask("/predict", {"context": ROWS.tolist()})
    assert status == 200
    np.testing.assert_allclose(answer["prediction"], expected, atol=1e-6)
    status, alone = served.ask("/predict", {"context": ROWS[0].tolist()})
    assert status == 200
    np.testing.assert_allclose(alone["prediction"], expected[0], atol=1e-6)
    for given in (ROWS, ROWS.astype(np.float16), ROWS.astype(np.float64)):
        status, content = served.ask("/predict", npy_bytes(given), content_type=NPY, accept=NPY)
        assert status == 200
        np.testing.assert_allclose(np.load(io.BytesIO(content)), expected, atol=2e-3)


def test_what_the_server_says_of_itself(served: Served) -> None:
    status, about = served.ask("/healthz")
    assert (status, about["status"], about["model"], about["width"], about["context"]) == (200, "ok", "amn", 16, 3)
    before = served.metric("models_predictions_total")
    served.ask("/predict", {"context": ROWS.tolist()})
    assert served.metric("models_predictions_total") == before + len(ROWS)
    assert served.metric("models_requests_total", path="/predict", status="200") > 0
    assert served.metric("models_request_seconds_count", path="/predict") > 0


def npy_header(shape: tuple[int, ...], fortran: bool) -> bytes:
    """The head of a .npy file of which four bytes follow."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": fortran, "shape": shape})
    return file.getvalue() + b"1234"


def changed(value: float) -> list[Any]:
    rows = ROWS.tolist()
    rows[2][1][0] = value
    return rows


REFUSED: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "wrong width": ({"context": ROWS[:, :, 1:].tolist()}, {}, 422, "[B, 3, 16], got [4, 3, 15]"),
    "wrong length": ({"context": ROWS[:, 1:].tolist()}, {}, 422, "[B, 3, 16], got [4, 2, 16]"),
    "no context": ({"context": [[]]}, {}, 422, "[B, 3, 16]"),
    "no rows": (npy_bytes(ROWS[:0]), {"content_type": NPY}, 422, "at least one"),
    "NaN": ({"context": changed(float("nan"))}, {}, 422, "context 2: expected finite numbers"),
    "infinity": ({"context": changed(float("inf"))}, {}, 422, "context 2: expected finite numbers"),
    "ragged": ({"context": [[[1.0, 2.0]], [[1.0]]]}, {}, 422, "rows of equal length"),
    "words": ({"context": "all of it"}, {}, 422, "numbers"),
    "another key": ({"contexts": []}, {}, 422, "'contexts'"),
    "too many": ({"context": [*ROWS.tolist()] * 3}, {}, 422, "at most 8 contexts"),
    "no JSON": (b"{", {}, 400, "not JSON"),
    "a list": (b"[1]", {}, 400, "got list"),
    "nested": (b'{"context":' + b"[" * 50_000, {}, 400, "nested too deep"),
    "XML": (b"<a/>", {"content_type": "text/xml"}, 415, "'text/xml'"),
    "no npy": (b"PK\x03\x04 and more", {"content_type": NPY}, 400, "not a .npy file"),
    "npy cut": (npy_bytes(ROWS)[:-4], {"content_type": NPY}, 400, "bytes follow"),
    "npy bomb": (npy_header((10**9, 3, 16), False), {"content_type": NPY}, 400, "[1000000000, 3, 16] of float32"),
    "npy header cut": (npy_bytes(ROWS)[:40], {"content_type": NPY}, 400, "not a .npy file"),
    "npy header damaged": (npy_bytes(ROWS).replace(b"(4, 3", b"(4, ("), {"content_type": NPY}, 400, "not a .npy file"),
    "npy of integers": (npy_bytes(ROWS.astype(np.int64)), {"content_type": NPY}, 422, "float32"),
    "npy in Fortran order": (npy_header((4, 3, 16), True), {"content_type": NPY}, 422, "Fortran"),
    "nothing": (b"", {"content_type": NPY}, 400, "not a .npy file"),
    "too large": (b" " * 100_001, {}, 413, "at most 100,000 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(served: Served, name: str) -> None:
    body, headers, status, part = REFUSED[name]
    found, answer = served.ask("/predict", body, **headers)
    assert found == status
    assert part in answer["error"]
    assert "\n" not in answer["error"]


def test_other_paths_and_methods(served: Served) -> None:
    for path, body, status in (("/predict", None, 405), ("/", None, 404), ("/generate", {"prompt": "x"}, 404)):
        found, answer = served.ask(path, body)
        assert found == status
        assert answer["error"]
    assert served.metric("models_requests_total", path="other", status="404") == 1


# -- batches -----------------------------------------------------------------------------------------------------------
class Held:
    """A predictor that computes when it is told to, and counts the rows of each batch."""

    def __init__(self, inner: Predictor) -> None:
        self.inner, self.open, self.batches = inner, threading.Event(), list[int]()

    def run(self, rows: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(rows))
        self.open.wait(10)
        return self.inner.run(rows)


def test_what_waits_is_computed_together_and_each_gets_its_own(predictor: Predictor) -> None:
    async def clients() -> tuple[Held, list[torch.Tensor], RefusedError]:
        held = Held(predictor)
        batcher = Batcher(held, Limits(batch=6, waiting=12), Measures())  # type: ignore[arg-type]
        batcher.start()
        first = batcher.submit(torch.from_numpy(ROWS[:1]))
        while not held.batches:
            await asyncio.sleep(0.001)
        others = [batcher.submit(torch.from_numpy(ROWS[i % 4 : i % 4 + 1])) for i in range(12)]
        with pytest.raises(RefusedError) as refused:
            batcher.submit(torch.from_numpy(ROWS[:1]))
        others[3].cancel()  # its client has gone
        held.open.set()
        found = [await each for each in (first, *others) if not each.cancelled()]
        await batcher.stop()
        return held, found, refused.value

    held, found, refused = asyncio.run(clients())
    assert held.batches == [1, 6, 5]
    assert refused.status == 503
    expected = predictor(ROWS)
    wanted = [0, *(i % 4 for i in range(12) if i != 3)]
    for row, got in zip(wanted, found, strict=True):
        np.testing.assert_allclose(got[0].numpy(), expected[row], atol=1e-6)


def test_an_answer_that_takes_too_long_is_refused_and_the_server_goes_on(predictor: Predictor) -> None:
    held = Held(predictor)
    slow = Predictor(predictor.kind, predictor.width, predictor.context, predictor.device, held.run, predictor.source)
    with serving(slow, work=0.1) as served:
        status, answer = served.ask("/predict", {"context": ROWS.tolist()})
        assert (status, answer["error"]) == (504, "not answered within 0.1 s")
        held.open.set()
        assert eventually(lambda: served.ask("/predict", {"context": ROWS.tolist()})[0] == 200)


def test_a_model_that_fails_fails_its_own_batch_alone(predictor: Predictor) -> None:
    async def clients() -> tuple[BaseException | None, torch.Tensor]:
        held = Held(predictor)
        held.open.set()
        batcher = Batcher(held, Limits(), Measures())  # type: ignore[arg-type]
        batcher.start()
        bad = batcher.submit(torch.zeros(1, CONTEXT, WIDTH + 1))
        await asyncio.wait({bad})
        good = await batcher.submit(torch.from_numpy(ROWS))
        await batcher.stop()
        return bad.exception(), good

    error, good = asyncio.run(clients())
    assert isinstance(error, InputError)
    assert len(good) == len(ROWS)
