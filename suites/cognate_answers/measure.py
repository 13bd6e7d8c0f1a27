"""``python -m suites.cognate_answers.measure RUN``: what a trained Cognate answers, and what thinking costs it.

Prints exact match of greedy answers to held-out questions by kind, tokens a second against the mean number of steps at
several halting thresholds, and a few free continuations of validation texts.
"""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.checkpoints.language_model import LanguageModel
from models.cognate.generate import generate
from models.cognate.model import Cognate
from models.cognate.specialisation import SPECIALISATIONS
from models.data.text.answers import exact
from models.data.text.config import TextConfig, parse_text_config
from models.data.text.generated import generate as drawn
from models.data.text.records import TYPED_PROMPTS, Record
from models.data.text.tokenizer import TextTokenizer

MANY = 400
"""Validation questions that are drawn of each set; those that come twice count once."""
BATCH = 64
THRESHOLDS = (0.05, 0.3, 0.5, 0.7, 0.9, 1.0)


def main(path: Path) -> None:
    """Prints all of it."""
    torch.set_num_threads(1)
    loaded = LanguageModel.load(path)
    model, tokenizer = loaded.model, loaded.tokenizer
    config = parse_text_config(loaded.about.about.config["data"])
    size = sum(p.numel() for p in model.parameters())
    print(f"{loaded.name}: {size:,} parameters, halting threshold {model.specialisation.halting_threshold}")
    own = model.specialisation
    report(model, tokenizer, config, "all steps computed", early=False)
    for name in SPECIALISATIONS:
        model.specialise(name)
        report(model, tokenizer, config, f"read as {name}", early=True)
    model.specialisation = own
    costs(model, tokenizer, config)
    for record in held(config, "python_docs")[:8]:
        print(f"  {record.prompt} |{texts(model, tokenizer, [record.prompt], temperature=0.7)[0]}")


def report(model: Cognate, tokenizer: TextTokenizer, config: TextConfig, how: str, *, early: bool) -> None:
    """Prints how many held-out questions are answered rightly, and the answers to what a person types."""
    print(how)
    for kind, right in sorted(answered(model, tokenizer, config, early=early).items()):
        print(f"  {kind:24} {sum(right) / len(right):.3f} of {len(right)}")
    said = texts(model, tokenizer, [prompt.prompt for prompt in TYPED_PROMPTS], early=early)
    print("  typed:", ", ".join(map(repr, said)))


def held(config: TextConfig, name: str) -> list[Record]:
    """Validation records of one set, each prompt once."""
    found = drawn(config.model_copy(update={"sets": [name]}), seed=0, validation=True, count=MANY)
    return list({record.prompt: record for record in found}.values())


def answered(model: Cognate, tokenizer: TextTokenizer, config: TextConfig, *, early: bool) -> dict[str, list[bool]]:
    """Whether each held-out question is answered rightly, by kind."""
    found: dict[str, list[bool]] = defaultdict(list)
    for name in ("sums", "differences", "capitals", "recall"):
        records = held(config, name)
        for record, text in zip(
            records, texts(model, tokenizer, [r.prompt for r in records], early=early), strict=True
        ):
            found[kind_of(record)].append(exact(record.answer, text))
    return found


def kind_of(record: Record) -> str:
    """Its set, and of a sum or difference how many digits its longer operand has."""
    if record.dataset not in ("sums", "differences"):
        return record.dataset
    return f"{record.dataset}, {max(map(len, re.findall('[0-9]+', record.question)))} digits"


def texts(
    model: Cognate, tokenizer: TextTokenizer, prompts: Sequence[str], *, temperature: float = 0.0, early: bool = True
) -> list[str]:
    """The continuation of each prompt."""
    rows: list[list[int]] = []
    tokens = [tokenizer.encode(prompt) for prompt in prompts]
    for start in range(0, len(tokens), BATCH):
        part = tokens[start : start + BATCH]
        rows += generate(model, part, max_new=48, temperature=temperature, stop=tokenizer.end, early=early)
    return [tokenizer.decode(row) for row in rows]


@torch.inference_mode()
def costs(model: Cognate, tokenizer: TextTokenizer, config: TextConfig) -> None:
    """Milliseconds a token, one at a time and 16 side by side, against the mean steps at several thresholds."""
    lines = [tokenizer.encode(record.text) for record in held(config, "python_docs")]
    rows = torch.tensor([line[:40] for line in lines if len(line) >= 40][:16])
    own = model.specialisation
    for batch in (1, len(rows)):
        for threshold in THRESHOLDS:
            model.specialisation = replace(own, halting_threshold=threshold)
            early, steps = streamed(model, rows[:batch], early=True)
            whole, _ = streamed(model, rows[:batch], early=False)
            shares = f"{steps:.2f} steps, {early:.2f} ms, all steps {whole:.2f} ms"
            print(f"  {batch:2} rows, threshold {threshold:.2f}: {shares}")
    model.specialisation = own


def streamed(model: Cognate, rows: torch.Tensor, *, early: bool) -> tuple[float, float]:
    """CPU milliseconds of a token given after the others (mean over the tokens), and mean steps."""
    state, spent, steps = model.new_state(len(rows)), [], []
    for place in range(rows.shape[1]):
        begin = time.process_time()
        output = model(rows[:, place : place + 1], state=state, early=early)
        output.logits  # noqa: B018
        spent.append(time.process_time() - begin)
        steps.append(float(output.halting_steps.double().mean()))
        assert output.state is not None
        state = output.state
    return 1e3 * sum(spent) / len(spent), sum(steps) / len(steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
