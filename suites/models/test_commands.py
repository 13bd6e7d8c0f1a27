"""``python -m models``: each command does what it says, and bad input is one line with exit code 2."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvmcheck.commands.main import main as lvmcheck
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from models import create_model
from models.checkpoints.language_model import LanguageModel
from models.checkpoints.predictor import Predictor
from models.cognate.stream import stream
from models.commands import train as train_command
from models.commands.main import LINE, main
from models.data.text.answers import exact
from suites.serving.kit import CONTEXT, WIDTH, language_run, vector_run

TINY = ("--set", "data.sequences=300", "--set", "data.val_sequences=80", "--set", "data.ood_sequences=40")
SMALL = (*TINY, "--set", "data.dim=64", "--batch-size", "32", "--device", "cpu")
AMN = ("--model", "amn", *SMALL, "--set", "model.d_model=16", "--set", "model.hidden_dim=32", "--lr", "2e-3")
LINEAR = ("--model", "linear_mixture", *SMALL, "--lr", "2e-3")


def one_line(said: str, *parts: str) -> None:
    assert said.count("\n") == 1, said
    assert all(part in said for part in parts), said


# -- the commands ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LINE.names())
def test_each_command_shows_an_example_of_itself_and_its_exit_codes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert "exit codes:" in said
    for line in LINE.load(name).EXAMPLE.splitlines():
        words = line.rpartition("python -m models ")[2].split()
        assert words[0] == name
        assert line in said
        if "|" not in line and not any('"' in word for word in words):
            LINE.parser(name).parse_args(words)


def test_torch_waits_until_a_model_is_asked_for() -> None:
    code = "import sys; from models import create_model; from models.commands.main import LINE; LINE.parser()"
    code += "; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_create_model_as_the_documents_write_it() -> None:
    model = create_model("amn", input_dim=768, d_model=256, hidden_dim=512)
    raw, prediction = model(torch.randn(4, 5, 768), return_raw=True)
    assert raw.shape == prediction.shape == (4, 768)
    lengths = prediction.detach().norm(dim=1)
    assert float((lengths - 1).abs().max()) < 1e-5
    assert sum(p.numel() for p in model.parameters()) == 1_510_912


BAD: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "command": (["trian"], ("no such command", "'train'")),
    "option": (["train", "--model", "amn", "--lamda-mse", "1"], ("--lamda-mse", "'--lambda-mse'")),
    "argument": (["chat", "x", "y"], ("one argument too many",)),
    "nothing to train": (["train"], ("--model", "--resume")),
    "model": (["train", "--model", "amm"], ("'amm'", "'amn'")),
    "data": (["train", "--model", "amn", "--data", "twim"], ("twim", "'twin'")),
    "key": (["train", "--model", "amn", "--set", "epoch=3"], ("epoch", "'epochs'")),
    "no assignment": (["train", "--model", "amn", "--set", "epochs"], ("KEY=VALUE",)),
    "type": (["train", "--model", "amn", "--set", "model.d_model=wide"], ("model.d_model", "expected int", "'wide'")),
    "no loss": (["train", "--model", "amn", "--lambda-mse", "0"], ("loss", "above 0")),
    "loss of vectors": (["train", "--model", "speed", "--lambda-info", "1"], ("--lambda-info",)),
    "recipe": (["train", "--model", "amn", "--recipe", "none.toml"], ("none.toml",)),
    "another recipe": (["train", "--model", "amn", "--recipe", "suites/cognate_phase1/speed"], ("run.trainer",)),
    "profile": (
        ["train", "--model", "speed", "--recipe", "suites/cognate_phase1/speed", "--profile", "fall"],
        ("'fall'", "'full'"),
    ),
    "test with files": (["train", "--model", "amn", "--test", "--data", "docs"], ("--test",)),
    "resume": (["train", "--resume", "nowhere"], ("nowhere", "checkpoint")),
    "run": (["chat", "nowhere"], ("nowhere", "expected a run")),
    "two outputs": (["test", "a", "b", "--output", "c"], ("--output",)),
    "server": (["load", "http://127.0.0.1:1"], ("expected a server",)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(
    name: str, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    words, parts = BAD[name]
    if name in ("another recipe", "profile", "test with files"):
        words = [
            str(pytestconfig.rootpath / word) if (pytestconfig.rootpath / word).exists() else word for word in words
        ]
    assert main([*words, *(["--out", str(tmp_path / "run")] if words[0] == "train" else [])]) == 2
    said = capsys.readouterr()
    one_line(said.err, *parts)
    assert not said.out
    assert not (tmp_path / "run").exists()


# -- train -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear mixture after four epochs, every second of them kept."""
    folder = tmp_path_factory.mktemp("trained") / "linear"
    weights = ("--lambda-mse", "1.0", "--lambda-info", "0.0")
    assert main(["train", *LINEAR, *weights, "--epochs", "4", "--keep-every", "2", "--out", str(folder)]) == 0
    return folder


def test_what_is_trained_is_an_ordinary_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load(trained)
    assert run.config["loss"] == {"mse": 1.0}
    assert (run.last_epoch, run.done and run.done["status"]) == (4, "finished")
    assert lvmcheck(["check", str(trained)]) == 0
    assert "no problem found" in capsys.readouterr().out


def test_checkpoints_are_kept_and_tested(trained: Path) -> None:
    run = load(trained)
    kept = sorted(path.name for path in (trained / "checkpoints").glob("epoch-*"))
    assert kept == ["epoch-000002", "epoch-000004"]
    tested = {e.checkpoint: e.metrics for e in run.of(ev.Evaluation) if e.name == "reload"}
    assert {*kept, "best", "last"} == tested.keys()
    for name in kept:
        assert tested[name]["val_cosine"] == pytest.approx(tested[name]["recorded_val_cosine"], abs=1e-6)
    assert [tested[name]["epoch"] for name in kept] == [2, 4]


def test_a_failed_check_is_a_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *AMN, "--epochs", "1", "--lambda-info", "1.0", "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr()
    assert "epoch 1/1" in said.out
    assert "beats_constant" in said.err
    assert load(tmp_path / "run").config["loss"] == {"mse": 1.0, "info_nce": 1.0}


def test_training_stops_early_where_validation_no_longer_improves(tmp_path: Path) -> None:
    rule = ("--patience", "2", "--min-delta", "1.0")
    assert main(["train", *LINEAR, *rule, "--epochs", "9", "--out", str(tmp_path / "run")]) == 0
    run = load(tmp_path / "run")
    assert run.last_epoch == 3  # the first is the best, and two more bring no 1.0
    assert len(run.of(ev.Early)) == 1
    assert run.done is not None
    assert run.done["status"] == "finished"


def test_a_run_that_was_stopped_continues_to_the_bit(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(train_command.Shown):
        def epoch(self, epoch: int, **metrics: Any) -> None:
            super().epoch(epoch, **metrics)
            self._rec.ask_to_stop("SIGTERM")

    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(train_command, "Shown", Interrupted)
        assert main(["train", *LINEAR, "--epochs", "4", "--keep-every", "2", "--out", str(folder)]) == 130
    assert f"--resume {folder}" in capsys.readouterr().out
    assert load(folder).last_epoch == 1
    assert main(["train", "--resume", str(folder)]) == 0
    whole, continued = (load(path) for path in (trained, folder))
    assert list(continued.series("val_loss").values) == list(whole.series("val_loss").values)
    capsys.readouterr()
    assert main(["train", "--resume", str(folder)]) == 2
    one_line(capsys.readouterr().err, "has trained all of its 4 epochs")


def test_a_run_is_never_overwritten(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *LINEAR, "--epochs", "1", "--out", str(trained)]) == 2
    one_line(capsys.readouterr().err, "already holds a run")


def test_other_epochs_keep_the_beginning_of_the_curriculum() -> None:
    from models.commands._config import plan

    def epochs(*words: str) -> list[int]:
        config = plan(LINE.parser("train").parse_args(["train", "--model", "speed", *words])).config
        assert sum(each["epochs"] for each in config["curriculum"]) == config["epochs"]
        return [each["epochs"] for each in config["curriculum"]]

    whole = epochs()
    assert epochs("--epochs", str(sum(whole))) == whole
    assert epochs("--epochs", str(sum(whole) + 3)) == [*whole[:-1], whole[-1] + 3]
    assert epochs("--epochs", "1") == [1]


# -- predict -----------------------------------------------------------------------------------------------------------
def test_predict_writes_what_the_model_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = vector_run(tmp_path / "amn")
    rows = np.random.default_rng(0).standard_normal((5, CONTEXT, WIDTH)).astype(np.float32)
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    words = ["predict", str(run), "--input", str(x), "--output", str(y)]
    for given in (rows, rows[0], rows.astype(np.float16)):
        np.save(x, given)
        assert main([*words, "--batch-size", "2"]) == 0
        np.testing.assert_allclose(np.load(y), Predictor.load(run)(given), atol=1e-6)
    capsys.readouterr()
    refused: dict[str, Any] = {"got [5, 3, 15]": rows[:, :, 1:], "float16": rows.astype(int), "at least one": rows[:0]}
    for part, given in refused.items():
        np.save(x, given)
        assert main(words) == 2
        one_line(capsys.readouterr().err, part)
    for content in (b"", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'\n", b"no array"):
        x.write_bytes(content)
        assert main(words) == 2
        one_line(capsys.readouterr().err, "expected a .npy file")


# -- chat and test -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_run(tmp_path_factory.mktemp("speed"))


def test_a_stream_is_what_generate_gives(spoken: Path) -> None:
    model = LanguageModel.load(spoken)
    prompt = model.tokens("What is 2 + 3?")
    for settings in ({"max_new": 9}, {"max_new": 9, "temperature": 0.8, "top_p": 0.9, "seed": 4}):
        found = list(stream(model.model, prompt, stop=model.tokenizer.end, **settings))
        assert [found] == model.answers([prompt], **settings)


def test_chat_answers_each_line(
    spoken: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LanguageModel.load(spoken)
    settings = {"max_new": 6, "temperature": 1.0, "seed": 2}
    wanted = model.tokenizer.decode(model.answers([model.tokens("What is 2 + 3?")], **settings)[0])
    words = ["chat", str(spoken), "--max-new", "6", "--temperature", "1.0", "--seed", "2"]
    monkeypatch.setattr("sys.stdin", io.StringIO("What is 2 + 3?\n\n" + "x" * 300 + "\nWhat is 2 + 3?\n"))
    assert main(words) == 2  # of three questions one is too long
    said = capsys.readouterr()
    shown = "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in wanted.lstrip())
    assert said.out == f"{shown}\n" * 2
    one_line(said.err, "more than the model's context of 160")


def test_test_keeps_every_answer_and_measures_them(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sacrebleu", reason='the extra "bleu" is not installed')
    prompts, output = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text(
        "".join(json.dumps({"question": f"What is {i} + 1?", "answer": str(i + 1)}) + "\n" for i in range(9))
    )
    words = ["test", str(spoken), "--prompts", str(prompts), "--output", str(output), "--max-new", "6"]
    assert main([*words, "--questions", "7"]) == 0
    said = capsys.readouterr().out
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(answers) == 7
    assert all(each["right"] == exact(each["answer"], each["text"]) for each in answers)
    model = LanguageModel.load(spoken)
    first = answers[0]
    prompt = model.tokenizer.encode(first["prompt"])
    told = [*model.tokenizer.encode(" 1"), model.tokenizer.end]
    with torch.no_grad():
        row = torch.tensor([[*prompt, *told]])
        logits = model.model.head(model.model(row).hidden[0, len(prompt) - 1 : -1])
        nats = -float(logits.log_softmax(dim=1).gather(1, torch.tensor(told)[:, None]).double().sum())
    assert first["tokens"] == len(told)
    assert first["nats"] == pytest.approx(nats, rel=1e-5)
    perplexity = math.exp(sum(each["nats"] for each in answers) / sum(each["tokens"] for each in answers))
    assert f"perplexity {perplexity:.3f}" in said
    assert "token diversity" in said
    assert "BLEU 0.0" in said
    assert main([*words, "--at-least", "0.5"]) == 1


def test_bleu_is_that_of_sacrebleu_and_one_line_without_it(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"question": "Who?", "answer": "x"}\n')
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert (
        main(["test", str(spoken), "--prompts", str(prompts), "--output", str(tmp_path / "a"), "--max-new", "2"]) == 0
    )
    assert "BLEU not measured: package 'sacrebleu'" in capsys.readouterr().out
    monkeypatch.undo()
    sacrebleu = pytest.importorskip("sacrebleu", reason='the extra "bleu" is not installed')
    from models.runtime.bleu import bleu

    texts, right = ["the cat sat on the mat today", "a dog"], ["the cat sat on the mat", "a dog barks"]
    assert bleu(texts, right) == pytest.approx(sacrebleu.corpus_bleu(texts, [right]).score, abs=1e-9)
    assert bleu(["42", "Paris"], ["42", "Rome"]) == pytest.approx(50.0)
    assert bleu(right, right) == pytest.approx(100.0)


def test_a_checkpoint_of_another_model_or_without_tokenizer_is_one_line(
    tmp_path: Path, spoken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dumb, vectors = language_run(tmp_path / "dumb", tokenizer=b""), vector_run(tmp_path / "amn")
    np.save(tmp_path / "x.npy", np.zeros((1, CONTEXT, WIDTH), dtype=np.float32))
    files = ["--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy")]
    for words, part in (
        (["chat", str(dumb)], "with its tokenizer"),
        (["chat", str(vectors)], "got the vector model 'amn'"),
        (["test", str(vectors)], "got the vector model 'amn'"),
        (["predict", str(spoken), *files], "got the language model 'cognate'"),
    ):
        assert main(words) == 2
        one_line(capsys.readouterr().err, part)
