"""Tokenizers: what goes in comes out, vocabularies are exact, training repeats, every token's bytes are counted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isostate.config import UserError
from isostate.data.corpora import bard
from isostate.data.tokenizers import BOUNDARY, BpeTokenizer, ByteTokenizer, Tokenizer, check_tokenizer, cut, train_bpe

SHORT_WORKS = {"lovers_complaint", "passionate_pilgrim", "phoenix_and_the_turtle"}
TEXTS = [work.text for work in bard().documents() if work.name in SHORT_WORKS] + ["naïve 東京\n" * 9]
BPE = train_bpe(400, TEXTS)
BYTES = ByteTokenizer()
both = pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


@both
@given(text=any_text)
@example(text="<|endoftext|><|boundary|>[UNK] \ufeff\x01\x7f\r\n   \u2028\u3000 don't  ")
@example(text="")
def test_text_comes_back_from_its_tokens(tokenizer: Tokenizer, text):
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.uint16
    assert tokenizer.decode(tokens) == text
    assert BOUNDARY not in tokens
    assert tokenizer.token_bytes[tokens].sum() == len(text.encode("utf-8"))


@both
def test_the_boundary_counts_one_byte_and_leaves_no_text(tokenizer: Tokenizer):
    assert tokenizer.token_bytes[BOUNDARY] == 1
    assert tokenizer.decode([BOUNDARY, *tokenizer.encode("a"), BOUNDARY]) == "a"
    assert tokenizer.token_bytes.shape == (tokenizer.vocab_size,)


@both
def test_nul_is_refused_because_it_is_the_boundary(tokenizer: Tokenizer):
    with pytest.raises(UserError, match="NUL at character 1"):
        tokenizer.encode("a\0b")


def test_a_byte_token_is_its_byte():
    assert BYTES.vocab_size == 256
    assert BYTES.encode("né").tolist() == [0x6E, 0xC3, 0xA9]
    assert BYTES.decode([0xC3]) == "\ufffd"


@pytest.mark.parametrize("vocab_size", [257, 300, 411])
def test_a_bpe_vocabulary_is_exactly_the_size_asked_for(vocab_size):
    tokenizer = train_bpe(vocab_size, TEXTS)
    assert tokenizer.vocab_size == check_tokenizer(tokenizer.name) == vocab_size
    assert len(set(tokenizer.pieces)) == vocab_size
    assert {bytes([byte]) for byte in range(1, 256)} <= set(tokenizer.pieces)
    assert tokenizer.encode("".join(TEXTS)).max() < vocab_size


def test_training_twice_gives_the_same_tokenizer_in_another_process_too():
    assert train_bpe(400, TEXTS).tokenizer_json == BPE.tokenizer_json
    program = (
        "import sys; from isostate.data.tokenizers import train_bpe; "
        "sys.stdout.write(train_bpe(400, eval(sys.stdin.read())).tokenizer_json)"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], input=ascii(TEXTS), capture_output=True, text=True, check=True
    )
    assert other.stdout == BPE.tokenizer_json


def test_a_saved_tokenizer_encodes_as_the_trained_one():
    again = BpeTokenizer(BPE.tokenizer_json)
    assert again.encode(TEXTS[0]).tolist() == BPE.encode(TEXTS[0]).tolist()
    assert len(BPE.encode(TEXTS[0])) < 0.75 * len(BYTES.encode(TEXTS[0]))


def test_too_little_text_for_the_vocabulary_names_the_size_it_is_enough_for():
    with pytest.raises(UserError, match=r'"bpe-5000": .* enough for (\d+) tokens only') as error:
        train_bpe(5_000, TEXTS)
    enough = int(str(error.value).split("at most ")[1].split(",")[0])
    assert train_bpe(enough, TEXTS).vocab_size == enough


@given(
    text=st.text(st.sampled_from("ab'st 1\n\té東\u3000."), max_size=120),
    piece_chars=st.integers(1, 20),
)
def test_a_text_in_pieces_tokenises_as_the_whole(text, piece_chars):
    pieces = list(cut(text, piece_chars))
    assert "".join(pieces) == text
    assert [token for piece in pieces for token in BPE.encode(piece)] == BPE.encode(text).tolist()


def test_long_text_is_cut():
    assert len(list(cut("word " * 100_000))) == 8
    assert len(list(cut("東" * 100_000))) == 1
