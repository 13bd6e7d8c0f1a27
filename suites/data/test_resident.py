"""A corpus on the device gives the same batches as one in host memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data import resident
from models.data.loader import Loader, epoch_order
from models.data.resident import Resident, fits
from models.data.store import Corpus, Windows

CPU = torch.device("cpu")


def corpus(rows: int, dim: int, *, half: bool = False, seed: int = 0) -> Corpus:
    drawn = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[0] = 0.0  # a zero row stays one
    vectors = drawn.astype(np.float16) if half else drawn
    vectors.setflags(write=False)
    return Corpus("some", vectors, np.repeat(np.arange(3, dtype=np.int32), -(-rows // 3))[:rows])


@settings(max_examples=20, deadline=None)
@given(st.integers(12, 40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_batches_are_those_of_the_loader(
    rows: int, dim: int, context: int, size: int, indexed: bool, first: int
) -> None:
    made = corpus(rows, dim).windows(context)
    windows = Windows(made.corpus, context, index=made.rows()) if indexed else made
    loader = Loader(windows, size, CPU)
    wanted = [(a.clone(), b.clone()) for a, b in loader.shuffled(seed=1, epoch=2, first=first)]
    order = epoch_order(1, 2, len(windows))
    found = list(Resident.of(windows, CPU).batches(order, loader.batch_size, first))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_half_precision_is_scaled_back_to_unit_length() -> None:
    windows = corpus(30, 16, half=True).windows(2)
    context, target = Resident.of(windows, CPU).gather(torch.arange(len(windows)))
    wanted = windows.batch(slice(None))
    torch.testing.assert_close(context, torch.from_numpy(wanted[0].copy()))
    torch.testing.assert_close(target, torch.from_numpy(wanted[1].copy()))
    assert float(context[0, 0].abs().max()) == 0.0, "the zero row"


def test_windows_over_one_corpus_share_its_vectors_and_leave_with_it() -> None:
    made = corpus(30, 4)
    before = len(resident._HELD)
    one, other = Resident.of(made.windows(2), CPU), Resident.of(made.windows(3), CPU)
    assert one.vectors is other.vectors
    assert len(resident._HELD) == before + 1
    del made, one, other
    gc.collect()
    assert len(resident._HELD) == before


def test_a_cpu_has_the_corpus_in_memory_already() -> None:
    assert not fits(corpus(30, 4), CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no cuda device here")
def test_a_corpus_fits_a_gpu_that_is_larger() -> None:
    assert fits(corpus(30, 4), torch.device("cuda"))
