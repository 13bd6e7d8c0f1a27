"""The command itself: the clients of docs/serving.md, an orderly end, and one line for what cannot be served."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from models.checkpoints.predictor import Predictor
from models.commands.main import main
from suites.serving.kit import WIDTH, extras, language_run, received, serving, vector_run

extras()

ROOT = Path(__file__).parents[2]
CLIENTS = re.findall(r"^```python client\n(.*?)^```", (ROOT / "docs" / "serving.md").read_text(), re.M | re.S)


def run_client(code: str, port: int) -> str:
    """What the client prints, asking at this port."""
    assert ":8003" in code
    words = [sys.executable, "-I", "-W", "error", "-c", code.replace(":8003", f":{port}")]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=180).stdout


def test_a_client_of_ten_lines_gets_its_vectors(tmp_path: Path) -> None:
    client = CLIENTS[0]
    assert len([line for line in client.splitlines() if line]) <= 10
    with serving(Predictor.load(vector_run(tmp_path))) as served:
        assert run_client(client, served.port) == f"1 prediction of width {WIDTH}\n"


def test_a_client_of_ten_lines_gets_its_text_and_sigterm_ends_when_all_is_answered(tmp_path: Path) -> None:
    client = CLIENTS[1]
    assert len([line for line in client.splitlines() if line]) <= 10
    words = [sys.executable, "-m", "models", "serve", str(language_run(tmp_path)), "--port", "0"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+) \(POST /generate", said)
            assert found is not None
            port = int(found[1])
            assert run_client(client, port).endswith("\n")
            body = json.dumps({"prompt": "a", "max_new": 150, "temperature": 1.0}).encode()
            with socket.create_connection(("127.0.0.1", port), timeout=90) as connection:
                head = f"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                assert connection.recv(12) == b"HTTP/1.1 200"
                process.send_signal(signal.SIGTERM)
                assert b'"done": true' in received(connection)
            rest, complaints = process.communicate(timeout=90)
            assert (process.returncode, rest, complaints) == (0, "ended\n", "")
        finally:
            process.kill()


def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", str(tmp_path), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"127.0.0.1:{port}: --port: cannot be listened on: Address already in use.")
    assert said.count("\n") == 1


def test_what_cannot_be_served_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dumb = language_run(tmp_path / "dumb", tokenizer=b"")
    other = language_run(tmp_path / "other", tokenizer=b"[]")
    for path, part in ((tmp_path / "nothing", "expected a run"), (dumb, "its tokenizer"), (other, "tokenizer.json")):
        assert main(["serve", str(path), "--port", "0"]) == 2
        said = capsys.readouterr().err
        assert part in said
        assert said.count("\n") == 1


def test_without_the_extra_it_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "serving needs it" in said
    assert "serve" in said
    assert said.count("\n") == 1


def test_load_measures_a_server_and_says_when_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from models.serving.load import measure

    with serving(Predictor.load(vector_run(tmp_path))) as served:
        url = f"http://127.0.0.1:{served.port}"
        found = measure(url, clients=8, seconds=0.2, rows=3, prompt="", max_new=1)
        assert found.bad == {}
        assert len(found.seconds) >= 8
        assert found.items == 3 * len(found.seconds) == served.metric("models_predictions_total")
        assert found.together is not None
        assert found.together > 3  # several clients in a batch
        assert found.cpu > 0
    assert main(["load", url, "--clients", "1", "--seconds", "0.1"]) == 2
    assert "expected a server" in capsys.readouterr().err
