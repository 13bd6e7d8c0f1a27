"""/generate: text as it comes, the same as without a server; and what is refused."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from models.checkpoints.language_model import LanguageModel
from models.cognate.together import Together
from suites.serving.kit import Served, eventually, extras, language_run, serving

extras()

SETTINGS = {"max_new": 12, "temperature": 1.0, "top_p": 0.9, "seed": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(language_run(tmp_path_factory.mktemp("speed")))


@pytest.fixture(scope="module")
def served(model: LanguageModel) -> Iterator[Served]:
    with serving(model, texts=2, new_tokens=100) as found:
        yield found


def events(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(part.removeprefix(b"data: ")) for part in content.split(b"\n\n") if part]


def expected(model: LanguageModel, prompt: str, **settings: Any) -> str:
    return model.tokenizer.decode(model.answers([model.tokens(prompt)], **settings)[0])


def test_the_text_is_that_of_the_model_whole_and_in_pieces(served: Served, model: LanguageModel) -> None:
    wanted = expected(model, "What is 2 + 3?", **SETTINGS)
    assert wanted
    before = served.metric("models_tokens_total")
    status, content = served.ask("/generate", {"prompt": "What is 2 + 3?", **SETTINGS})
    found = events(content)
    assert status == 200
    assert "".join(each["text"] for each in found[:-1]) == wanted
    assert found[-1] == {"done": True, "text": wanted, "tokens": 12, "reason": "length"}
    assert len(found) > 2
    assert served.metric("models_tokens_total") == before + 12
    status, whole = served.ask("/generate", {"prompt": "What is 2 + 3?", **SETTINGS, "stream": False})
    assert (status, whole) == (200, {"text": wanted, "tokens": 12, "reason": "length"})


def test_half_a_character_is_never_sent(model: LanguageModel) -> None:
    tokens = iter("aé東🙂".encode() + b"\xe6\x9d")
    pieces = [text for text, _ in model._pieces(tokens)]
    assert pieces == ["a", "é", "東", "🙂", "\ufffd"]


def test_rows_that_join_and_leave_do_not_change_the_others(model: LanguageModel) -> None:
    prompts = ["What is 1 + 1?", "Who?", "x" * 60, "a", "What is 25 + 17?"]
    settings = [{"max_new": 5 + 3 * i, "temperature": float(i % 2), "top_p": 0.9, "seed": i} for i in range(5)]
    tokens = [model.tokens(prompt) for prompt in prompts]
    wanted = [model.answers([each], **how)[0] for each, how in zip(tokens, settings, strict=True)]
    for plan in ([[0, 1, 2, 3, 4]], [[2], [], [0, 1], [], [], [3, 4]], [[0], [1], [2], [3], [4]]):
        together = Together(model.model, model.tokenizer.end)
        rows = [together.row(each, **how) for each, how in zip(tokens, settings, strict=True)]  # type: ignore[arg-type]
        unwanted = together.row(tokens[3], max_new=50, temperature=1.0, top_p=1.0, seed=9)
        found: dict[int, list[int]] = {id(row): [] for row in (*rows, unwanted)}
        for turn in range(40):
            joining = [rows[index] for index in (plan[turn] if turn < len(plan) else [])]
            leaving = [unwanted] if turn == 3 else []
            for row, token in together.step([*joining, *([unwanted] if turn == 0 else [])], leaving):
                found[id(row)] += [] if token is None else [token]
        assert [found[id(row)] for row in rows] == wanted
        assert len(found[id(unwanted)]) == 3
        assert not len(together)
        assert {row.ended for row in rows} <= {"end", "length"}


def test_several_at_once_do_not_change_each_other(served: Served, model: LanguageModel) -> None:
    from concurrent.futures import ThreadPoolExecutor

    prompts = ("What is 1 + 1?", "Who?")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda text: served.ask("/generate", {"prompt": text, **SETTINGS}), prompts))
    for prompt, (status, content) in zip(prompts, found, strict=True):
        assert status == 200
        assert events(content)[-1]["text"] == expected(model, prompt, **SETTINGS)


REFUSED: dict[str, tuple[Any, int, str]] = {
    "longer than the context": ({"prompt": "x" * 200}, 422, "more than the model's context of 160"),
    "far longer": ({"prompt": "x" * 100_000}, 422, "100,000 characters are more"),
    "no room for the answer": ({"prompt": "x" * 100, "max_new": 60}, 422, "and 60 new ones"),
    "nothing asked": ({"prompt": "  "}, 422, "expected some text"),
    "no prompt": ({"max_new": 3}, 422, '{"prompt": "..."}'),
    "another key": ({"prompt": "x", "max_tokens": 3}, 422, "no such key 'max_tokens'"),
    "another type": ({"prompt": ["x"]}, 422, "prompt: expected str, got list"),
    "a truth value": ({"prompt": "x", "max_new": True}, 422, "max_new: expected int, got bool"),
    "too many tokens": ({"prompt": "x", "max_new": 101}, 422, "at most 100"),
    "no tokens": ({"prompt": "x", "max_new": 0}, 422, "at least 1 new token"),
    "too cold": ({"prompt": "x", "temperature": -1}, 422, "temperature"),
    "NaN": (b'{"prompt": "x", "temperature": NaN}', 422, "temperature"),
    "vectors": ({"context": [[[1.0]]]}, 422, "no such key 'context'"),
    "no JSON": (b"prompt", 400, "not JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(served: Served, name: str) -> None:
    body, status, part = REFUSED[name]
    found, answer = served.ask("/generate", body)
    assert found == status
    assert part in answer["error"]


@pytest.fixture(scope="module")
def slow(model: LanguageModel) -> LanguageModel:
    """The same model on a slow machine."""
    found = LanguageModel.load(model.source)
    found.model.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    return found


def begun(served: Served, body: dict[str, Any]) -> socket.socket:
    """A connection on which a text has begun to come."""
    content = json.dumps(body).encode()
    connection = served.connect()
    connection.sendall(b"POST /generate HTTP/1.1\r\nhost: x\r\n" + f"content-length: {len(content)}\r\n\r\n".encode())
    connection.sendall(content)
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def in_flight(served: Served) -> float:
    """Requests that are being answered, without the one that asks."""
    return served.metric("models_requests_in_flight") - 1


def test_only_so_many_at_once_and_a_client_that_leaves_makes_room(slow: LanguageModel) -> None:
    body = {"prompt": "a", "max_new": 150, "temperature": 1.0}
    with serving(slow, texts=2) as served:
        first, second = begun(served, body), begun(served, body)
        status, answer = served.ask("/generate", {"prompt": "b"})
        assert (status, answer["error"]) == (503, "2 texts are generated already; try again in a second")
        first.close()
        assert eventually(lambda: in_flight(served) == 1), "the work of a client that left goes on"
        assert served.ask("/generate", {"prompt": "b", "max_new": 2})[0] == 200
        second.close()
        assert eventually(lambda: in_flight(served) == 0)
        assert served.metric("models_tokens_total") < 300


def test_a_text_that_takes_too_long_ends_and_says_so(slow: LanguageModel) -> None:
    with serving(slow, work=0.1) as served:
        status, answer = served.ask("/generate", {"prompt": "a", "max_new": 150, "temperature": 1.0, "stream": False})
        content = served.ask("/generate", {"prompt": "a", "max_new": 150, "temperature": 1.0})[1]
    assert (status, answer["reason"]) == (200, "time")
    assert 0 < answer["tokens"] < 100
    assert events(content)[-1]["reason"] == "time"
