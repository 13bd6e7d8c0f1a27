"""Messages through apprise: what a webhook of this machine gets of followed runs, judged ones and sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import lvmcheck
from lvmcheck.commands.main import main
from suites.lvmcheck.plugin_kit.project import CHECKS, Project, floor

pytest.importorskip("apprise", reason="not installed: pip install -e '.[alerts]'")


class Webhook:
    """What was posted to an address of this machine."""

    def __init__(self) -> None:
        got: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.got = got
        self.server = HTTPServer(("localhost", 0), Handler)
        self.url = f"json://localhost:{self.server.server_port}/secret"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    thread = Thread(target=hook.server.serve_forever)
    thread.start()
    yield hook
    hook.server.shutdown()
    thread.join()
    hook.server.server_close()


def recorded(folder: Path, *losses: float) -> str:
    with lvmcheck.record(folder, config={"epochs": len(losses)}) as rec:
        for epoch, loss in enumerate(losses, start=1):
            for _ in range(5):
                rec.step(loss=loss)
            rec.epoch(epoch, val_loss=1.1 * loss)
    return str(folder)


def test_a_followed_run_tells_its_first_failure_and_its_end(webhook: Webhook, tmp_path: Path) -> None:
    run = recorded(tmp_path / "mine", 1.0, 0.5, float("nan"), float("nan"))
    assert main(["check", run, "--follow", "--alert", webhook.url]) == 1
    first, last = webhook.got
    assert (first["title"], first["type"]) == ("mine: finite failed", "failure")
    assert first["message"].startswith("✗ finite  ")
    assert (last["title"], last["type"]) == ("mine: failed", "failure")
    assert last["message"].startswith("run finished at epoch 4 of 4\n")


def test_a_sound_run_tells_its_end_alone(webhook: Webhook, tmp_path: Path) -> None:
    run = recorded(tmp_path / "mine", 1.0, 0.7, 0.5, 0.4)
    assert main(["check", run, "--alert", webhook.url, "--alert", webhook.url]) == 0
    assert [(each["title"], each["type"]) for each in webhook.got] == [("mine: passed", "success")] * 2


def test_a_session_tells_the_first_failure_of_a_run_and_its_end(webhook: Webhook, pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    project.suite(*CHECKS, floor(2, 0.58), floor(4, 0.99))
    project.pytest("--lvm-alert", webhook.url).assert_outcomes(passed=4, failed=2)
    first, last = webhook.got
    assert first["title"] == "toy seed0: cosine_floor[val_cosine@2] failed"
    assert (last["title"], last["type"]) == ("pytest, toy seed0: failed", "failure")
    assert "4 checks passed, 2 failed" in last["message"]


def test_what_is_not_delivered_changes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = recorded(tmp_path / "mine", 1.0, 0.7, 0.5, 0.4)
    hook = Webhook()
    hook.server.server_close()
    assert main(["check", run, "--alert", hook.url]) == 0
    said = capsys.readouterr().err
    assert said == "lvmcheck: an alert could not be delivered to json://\n"


@pytest.mark.parametrize(("url", "shown"), [("slak://token", "slak://."), ("token", "an address without a scheme")])
def test_an_unknown_address_is_one_line_without_its_token(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path, url: str, shown: str
) -> None:
    assert main(["check", recorded(tmp_path / "mine", 1.0, 0.5), "--alert", url]) == 2
    said = capsys.readouterr().err
    assert f"--alert: no service takes {shown}" in said
    assert "token" not in said
    assert said.count("\n") == 1
    assert not caplog.records
