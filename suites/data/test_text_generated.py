"""Generated questions: the answers are right, the difficulty is measured, the surprise is exact, the sides disjoint."""

from __future__ import annotations

import contextlib
import io
import math
import random
import re
from collections import Counter

import pytest

from lvmcheck.errors import InputError
from models.data.text import arithmetic, capitals, python_docs
from models.data.text.config import parse_text_config
from models.data.text.facts import loss_floor
from models.data.text.generated import drawer, generate
from models.data.text.records import SEED_PROMPTS, TYPED_PROMPTS, Record, group_of
from models.data.text.split import overlap


def draws(name: str, count: int, **config: object) -> list[Record]:
    draw, rng = drawer(name, parse_text_config(dict(config))), random.Random(3)
    return [draw(rng, number) for number in range(count)]


def test_sums_are_right_with_the_usual_precedence() -> None:
    for record in draws("arithmetic", 300, digits=3, operations=4):
        if record.question.startswith("If"):
            left, right = map(int, re.findall(r"\d+", record.question))
            right = right if "buys" in record.question else -right
            assert int(record.answer) == left + right
        else:
            expression = re.fullmatch(r"(?:What is|Calculate) ([\d +*-]+)[?.]", record.question)
            assert expression is not None
            assert int(record.answer) == eval(expression[1])  # only digits, + - * and spaces


def test_lines_of_code_print_what_the_answer_says() -> None:
    for record in draws("code", 200):
        line = record.question.removeprefix("What does ").removesuffix(" print?")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(line)  # our own generator wrote it
        assert printed.getvalue().strip() == record.answer


def test_the_context_tells_the_answer_and_nothing_else_does() -> None:
    records = draws("recall", 300)
    for record in records:
        asked = re.search(r"What is the (\w+ of (?:the )?\w+)\?", record.question)
        assert asked is not None
        assert record.question.count(f"The {asked[1]} is {record.answer}.") == 1
        assert record.difficulty == record.question.count(".")
    france = {record.answer for record in records if "capital of France?" in record.question}
    assert len(france) > 1


def test_difficulty_is_measured() -> None:
    assert arithmetic.effort([3, 14], ["+"]) == 2
    assert arithmetic.effort([33, 14, 5], ["*", "-"]) == 6
    found = {record.difficulty for record in draws("arithmetic", 400, digits=2, operations=2)}
    assert min(found) == 1
    assert max(found) > 4


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("arithmetic", {"digits": 1, "operators": "+-"}),
        ("recall", {"facts": 1}),
        ("code", {"digits": 1}),
        ("sums", {"digits": 1}),
        ("differences", {"digits": 1}),
        ("capitals", {}),
    ],
)
def test_the_surprise_is_that_of_the_draws(name: str, config: dict[str, object]) -> None:
    """A question of probability p = exp(-nats) turns up n p times, and the probabilities of all sum to one.

    The mass of questions not yet seen is about the share of those seen once (Good and Turing).
    """
    n = 30_000
    records = draws(name, n, **config)
    counts = Counter(record.question for record in records)
    chance = {record.question: math.exp(-(record.nats or 0)) for record in records}
    common = [(counts[question], n * p) for question, p in chance.items() if n * p >= 20]
    assert len(common) > 10
    assert all(abs(seen - expected) < 6 * math.sqrt(expected) for seen, expected in common)
    unseen = sum(count == 1 for count in counts.values()) / n
    assert sum(chance.values()) + unseen == pytest.approx(1, abs=0.02)


def test_surprise_by_hand() -> None:
    record = next(r for r in draws("arithmetic", 50, digits=2, operators="+") if r.question.startswith("If"))
    left, right = re.findall(r"\d+", record.question)
    widths = sum(math.log(10 if len(value) == 1 else 90) for value in (left, right))
    assert record.nats == pytest.approx(2 * math.log(2) + widths + math.log(3) + math.log(8))


def test_without_words_sums_are_asked_as_they_are_typed() -> None:
    for name, sign in (("sums", "+"), ("differences", "-")):
        records = draws(name, 200, digits=1, words=False)
        spaced = [bool(re.fullmatch(rf"\d \{sign} \d", record.question)) for record in records]
        assert all(re.fullmatch(rf"\d ?\{sign} ?\d", record.question) for record in records)
        assert 150 < sum(spaced) < 200
        chances = [math.log(0.9 if apart else 0.1) for apart in spaced]
        assert [record.nats for record in records] == pytest.approx([2 * math.log(10) - part for part in chances])
        assert {record.difficulty for record in records} == {1}


def test_sides_are_disjoint_for_every_seed() -> None:
    config = parse_text_config({"digits": 1})
    held = generate(config, seed=0, validation=True, count=100)
    for seed in (0, 1):
        train = generate(config, seed=seed, validation=False, count=300)
        assert overlap(train, held) == 0
    assert generate(config, seed=1, validation=False, count=300) == train
    assert generate(config, seed=2, validation=False, count=300) != train
    assert arithmetic.numbers_group([3, 4]) == arithmetic.numbers_group([4, 3])
    assert {group_of(record) for record in held if record.dataset == "arithmetic"}.isdisjoint(map(group_of, train))


def test_the_original_projects_prompts_are_never_trained_on() -> None:
    config = parse_text_config({"operators": "+-"})
    train = generate(config, seed=5, validation=False, count=6000)
    prompts = {record.prompt for record in train}
    assert not prompts & {prompt.prompt for prompt in SEED_PROMPTS}
    assert not any("25 + 17" in prompt or "17 + 25" in prompt for prompt in prompts)
    words = {re.sub(r"\d+|apples", "#", prompt) for prompt in prompts}  # but their form is
    assert {re.sub(r"\d+|apples", "#", each.prompt) for each in SEED_PROMPTS[:2]} <= words
    assert all(prompt.prompt.endswith("A:") for prompt in SEED_PROMPTS)


@pytest.mark.parametrize("name", ["sums", "differences"])
def test_typed_sums_and_differences_are_right(name: str) -> None:
    forms = set()
    for record in draws(name, 300, digits=2):
        left, right = map(int, re.findall(r"\d+", record.question))
        assert int(record.answer) == (left + right if name == "sums" else left - right)
        forms.add(re.sub(r"\d+|apples|books|cups|eggs|hats|keys|lamps|pens", "#", record.question))
    assert len(forms) == 5


def test_what_a_person_types_is_never_trained_on_and_its_facts_are() -> None:
    config = parse_text_config({"sets": ["sums", "differences", "capitals"], "digits": 2})
    train = generate(config, seed=5, validation=False, count=3000)
    held = generate(config, seed=0, validation=True, count=300)
    assert overlap(train, held) == 0
    typed = {prompt.prompt for prompt in TYPED_PROMPTS}
    assert not typed & {record.prompt for record in train}
    assert not any(re.search(r"\b(25\D+17|17\D+25|15\D+7|7\D+15)\b", record.question) for record in train)
    told = {country for record in train for country, city in capitals.CAPITALS.items() if country in record.question}
    assert told == capitals.CAPITALS.keys()
    assert {record.answer for record in train if "France" in record.question} == {"Paris"}


def test_texts_of_python_are_sentences_and_each_is_on_one_side() -> None:
    config = parse_text_config({"sets": ["python_docs"]})
    train, held = (generate(config, seed=1, validation=side, count=10**4) for side in (False, True))
    assert len(train) > 1000  # of 4,000 in Python 3.11
    assert overlap(train, held) == 0
    assert all(record.prompt == record.question and record.answer[-1] in ".?!" for record in (*train, *held))
    assert len({record.text for record in train}) == len(train)
    assert generate(config, seed=1, validation=False, count=7) == train[:7]


def test_lists_code_and_fragments_are_no_prose() -> None:
    sentence = "Objects are an abstraction for data, and all data is represented by objects."
    names = " ".join(f"Ab{letter}" for letter in "abcdefghijklmnopqrst")
    source = f"{sentence}\n\n   x = {{1: 2}} and more of it\n\n{names}.\n\nShort."
    assert list(python_docs.sentences(source)) == [sentence]
    wrapped = sentence.replace(", ", ",\n")
    assert list(python_docs.sentences(wrapped)) == [sentence]
    assert list(python_docs.sentences(wrapped.replace("\n", "\n    "))) == []


def test_settings_that_allow_too_few_questions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.data.text.generated.HELD", 0.0)
    config = parse_text_config({"sets": ["arithmetic"], "digits": 1})
    with pytest.raises(InputError, match="generated set 'arithmetic': only 0 of 5 validation questions could be drawn"):
        generate(config, seed=0, validation=True, count=5)


def test_the_floor_of_the_loss_by_hand() -> None:
    from models.data.text.corpus import tokenise
    from models.data.text.tokenizer import ByteTokenizer

    records = [Record("a", "1", "x", "y", nats=1.0), Record("b", "2", "z", "y", nats=3.0)]
    corpus = tokenise(records, ByteTokenizer())
    assert corpus.scored == 2 * len("Q: x\nA: y")  # every byte but the first, and the end
    assert loss_floor(corpus) == pytest.approx((1.0 + 3.0 + 2 * math.log(2)) / corpus.scored)
    assert loss_floor(tokenise([*records, Record("c", "3", "x", "y")], ByteTokenizer())) is None


def test_generators_are_independent_of_each_other() -> None:
    alone = generate(parse_text_config({"sets": ["code"]}), seed=0, validation=False, count=20)
    both = generate(parse_text_config({"sets": ["recall", "code"]}), seed=0, validation=False, count=20)
    assert both[20:] == alone
