"""Tokenizers: any text comes back, training is deterministic, and no empty or foreign tokenizer gets through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from lvmcheck.errors import InputError
from models.data.text.config import parse_text_config
from models.data.text.dataset import open_text
from models.data.text.generated import generate
from models.data.text.numbers import ReversedNumbers
from models.data.text.tokenizer import ByteTokenizer, TextTokenizer, train_bpe
from models.data.text.tokenizer_files import GPT2_SIZE, load, unpacked

TEXTS = [record.text for record in generate(parse_text_config({}), seed=0, validation=False, count=200)]
BPE = train_bpe(TEXTS, 400)
SIGNS = train_bpe([*TEXTS, *(f"Q: {n} - 1\nA: 2" for n in range(99))], 400, signs=True)
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=150, deadline=None)
@given(UNICODE)
def test_any_text_comes_back_and_never_holds_end_or_pad(text: str) -> None:
    for tokenizer in (BPE, ByteTokenizer(), ReversedNumbers(BPE), SIGNS):
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        assert tokenizer.decode([*tokens, tokenizer.end, tokenizer.pad]) == text
        assert all(0 <= token < tokenizer.vocab_size for token in tokens)
        assert not {tokenizer.end, tokenizer.pad} & set(tokens)
        assert tokenizer.encode_batch([text, text]) == [tokens, tokens]


def test_bytes_that_are_no_text_do_not_stop_decoding() -> None:
    assert ByteTokenizer().decode([255, 65]) == "\ufffdA"
    assert BPE.decode([0, BPE.vocab_size - 1]) != ""


def test_training_is_deterministic_and_compresses() -> None:
    again = train_bpe(TEXTS, 400)
    assert again.digest == BPE.digest
    assert again.encode(TEXTS[0]) == BPE.encode(TEXTS[0])
    assert train_bpe(TEXTS[:100], 400).digest != BPE.digest
    assert BPE.vocab_size == 400
    assert sum(map(len, BPE.encode_batch(TEXTS))) < 0.6 * sum(len(text.encode()) for text in TEXTS)


def test_digits_are_tokens_of_their_own() -> None:
    tokens = BPE.encode("12345")
    assert len(tokens) == 5
    assert [BPE.decode([token]) for token in tokens] == list("12345")


def test_the_signs_of_a_record_are_tokens() -> None:
    parts = [SIGNS.decode([token]) for token in SIGNS.encode("Q: 25 - 17\nA: 8")]
    assert parts == ["Q:", " ", "2", "5", " - ", "1", "7", "\nA:", " ", "8"]
    assert [SIGNS.decode([token]) for token in SIGNS.encode("x7")] == ["x", "7"]


def test_reversed_numbers_come_least_digit_first() -> None:
    turned = ReversedNumbers(BPE)
    assert turned.encode("What is 25 + 170?") == BPE.encode("What is 52 + 071?")
    assert turned.decode(BPE.encode(" 24")) == " 42"
    assert turned.digest != BPE.digest
    assert (turned.settled("is 4"), turned.settled("is 42."), BPE.settled("is 4")) == ("is ", "is 42.", "is 4")
    data = {"sets": ["sums"], "records": 40, "val_records": 4, "vocabulary": 300, "numbers": "reversed"}
    assert open_text(data, seed=0).tokenizer.encode("12") == BPE.encode("21")
    with pytest.raises(InputError, match="numbers"):
        parse_text_config({"numbers": "backwards"})


@pytest.mark.parametrize("tokenizer", [BPE, ByteTokenizer(), ReversedNumbers(BPE), ReversedNumbers(ByteTokenizer())])
def test_what_a_checkpoint_carries_encodes_the_same(tokenizer: TextTokenizer) -> None:
    again = unpacked(tokenizer.content(), Path("tokenizer.json"))
    assert (again.vocab_size, again.pad, again.end) == (tokenizer.vocab_size, tokenizer.pad, tokenizer.end)
    assert again.encode("25 + 17 is 42") == tokenizer.encode("25 + 17 is 42")


def test_a_small_text_has_fewer_merges_than_asked() -> None:
    assert 258 < train_bpe(["aaaa bbbb aaaa bbbb"] * 3, 5000).vocab_size < 300
    with pytest.raises(InputError, match="tokenizer 'bpe': no text to train on"):
        train_bpe(["", ""], 300)


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    loaded = load(BPE.save(tmp_path))
    assert (loaded.vocab_size, loaded.end, loaded.pad) == (BPE.vocab_size, BPE.end, BPE.pad)
    assert loaded.digest == BPE.digest
    assert load(tmp_path, vocabulary=400).encode(TEXTS[3]) == BPE.encode(TEXTS[3])


def test_vocabulary_and_tokenizer_must_agree(tmp_path: Path) -> None:
    path = BPE.save(tmp_path)
    with pytest.raises(InputError, match=r"expected 32768 tokens \(run.data.vocabulary\), the tokenizer has 400"):
        load(path, vocabulary=32_768)
    with pytest.raises(InputError, match=r"run.data.vocabulary: expected 258, the tokens of 'bytes', got 300"):
        open_text({"tokenizer": "bytes", "vocabulary": 300}, seed=0)


def test_an_empty_tokenizer_is_refused(tmp_path: Path) -> None:
    """What an offline ``GPT2Tokenizer.from_pretrained`` returns without an error (libraries.md 2.4)."""
    path = tmp_path / "tokenizer.json"
    path.write_text(Tokenizer(models.BPE()).to_str())
    with pytest.raises(InputError, match="an empty tokenizer: 2 tokens, 'Q: What is 2' encodes to"):
        load(path)


def test_a_tokenizer_that_loses_text_is_refused(tmp_path: Path) -> None:
    words = {f"w{number}": number for number in range(400)} | {"[UNK]": 400}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    path.write_text(inner.to_str())
    with pytest.raises(InputError, match=r"loses text: .* Expected a byte-level BPE"):
        load(path)


def test_an_end_that_a_text_can_spell_is_not_taken(tmp_path: Path) -> None:
    inner = Tokenizer.from_str(BPE._inner.to_str())
    inner.add_special_tokens(["<|endoftext|>"])
    path = tmp_path / "special.json"
    path.write_text(inner.to_str())
    special = load(path)
    assert special.end == special.pad == 398
    assert special.end not in special.encode("<|endoftext|>")
    assert special.decode(special.encode("a<|endoftext|>b")) == "a<|endoftext|>b"
    inner = Tokenizer.from_str(BPE._inner.to_str())
    inner.add_tokens([AddedToken("</s>", special=False, normalized=False)])
    path.write_text(inner.to_str())
    plain = load(path)
    assert plain.end == 399
    assert plain.end not in plain.encode("</s>")


def gpt2_folder(folder: Path, size: int = GPT2_SIZE) -> Path:
    """GPT-2's two files in form: a small BPE, filled up to ``size`` tokens that no merge reaches."""
    inner = train_bpe(TEXTS, 500)._inner
    inner.model.save(str(folder))
    vocab = json.loads((folder / "vocab.json").read_text())
    vocab |= {f"filler {number}": number for number in range(len(vocab), size - 1)}
    (folder / "vocab.json").write_text(json.dumps(vocab | {"<|endoftext|>": size - 1}))
    return folder


def test_gpt2_files_from_the_users_folder(tmp_path: Path) -> None:
    tokenizer = load(gpt2_folder(tmp_path))
    assert (tokenizer.name, tokenizer.vocab_size, tokenizer.end, tokenizer.pad) == ("gpt2", 50_257, 50_256, 50_256)
    assert 50_256 not in tokenizer.encode("a <|endoftext|> b")
    assert tokenizer.decode(tokenizer.encode("naïve 🙂")) == "naïve 🙂"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("vocab.json", "{", "vocab.json: not JSON: "),
        ("vocab.json", "[1]", "vocab.json: expected an object of token to number"),
        ("vocab.json", '{"a": 0}', "vocab.json: expected GPT-2's 50,257 tokens, numbered from 0 and .* got 1"),
        ("merges.txt", "#version: 0.2\n", "merges.txt: holds no merges"),
        ("merges.txt", "a b c\n", "merges.txt:1: expected two tokens with a space between, got 'a b c'"),
        ("merges.txt", "nothere neither\n", "merges.txt: does not fit vocab.json"),
        ("merges.txt", "\udcff", "merges.txt: not UTF-8 at byte 0"),
        ("vocab.json", "", "vocab.json: expected 1 to 67,108,864 bytes, got 0"),
    ],
)
def test_damaged_gpt2_files_are_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    folder = gpt2_folder(tmp_path)
    (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=said):
        load(folder)


def test_other_tokenizer_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        load(tmp_path / "tokenizer.json")
    with pytest.raises(
        InputError, match=r"no tokenizer here; expected tokenizer.json or vocab.json and merges.txt, the"
    ):
        load(tmp_path)
    for content in ("{}", "not json", '{"version": "1.0", "model": {"type": "BPE", "vocab": 3}}', "[" * 100_000):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(InputError, match=r"not a tokenizer.json: "):
            load(tmp_path)
