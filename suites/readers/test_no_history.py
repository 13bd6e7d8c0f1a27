"""Tables of results and texts without names, which are no course of a run: one line that says what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvmcheck.errors import InputError
from lvmcheck.readers import open_run


def table(*rows: str) -> str:
    return "\n".join(rows) + "\n"


NO_HISTORY: dict[str, tuple[str, str, str]] = {
    "no_header": ("h.csv", "3.17,-0.09,3.08\n2.01,-0.19,1.82\n", "no header line"),
    "experiments": ("m.csv", table("Model,Optimizer,Accuracy", "LSTM,Adam,0.5", "GRU,SGD,0.6"), "table of experiments"),
    "experiments_in_numbers": (
        "m.csv",
        table("hidden_size,n_layers,loss", "100,1,0.5", "200,2,0.6"),
        "table of experiments",
    ),
    "report": (
        "r.csv",
        table(",precision,recall,f1-score,support", "cat,0.9,0.8,0.85,20", "dog,0.7,0.8,0.75,25"),
        "classification report",
    ),
    "one_row": ("r.csv", table("accuracy,f1_macro", "0.9,0.8"), "one row of results"),
    "nothing_logged": (
        "trainer_state.json",
        json.dumps({"log_history": [], "logging_steps": 50, "max_steps": 6}),
        "logging_steps is 50",
    ),
    "two_runs_of_a_chart": ("w.csv", '"Step","a - loss","a - loss__MAX","b - loss"\n1,1.0,1.0,2.0\n', "2 runs"),
    "two_runs_of_mlflow": ("m.csv", table("Run ID,metric,step,value", "a,loss,1,0.5", "b,loss,1,0.4"), "2 runs"),
    "results": ("all_results.json", json.dumps({"eval_loss": 0.4, "train_runtime": 3.0}, indent=1), "results alone"),
    "settings": (
        "config.json",
        json.dumps({"lr": 0.1, "betas": [0.9, 0.99], "hidden": [64, 64]}, indent=1),
        "without a history",
    ),
}


@pytest.mark.parametrize("name", NO_HISTORY)
def test_what_is_no_history_is_one_line(tmp_path: Path, name: str) -> None:
    file, text, words = NO_HISTORY[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / file)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
