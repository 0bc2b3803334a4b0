"""Text <-> tokens: bytes, or byte-level BPE trained on the corpus by the `tokenizers` library.

Token 0 is the boundary between documents in both: it is the byte NUL, which no text holds (a corpus with NUL is
refused). So the byte vocabulary is exactly 256, token = byte; a BPE vocabulary is exactly the size asked for: the
boundary, the 255 other bytes, then the merges. Every token stands for a known number of bytes (the boundary for one),
so losses of different tokenizers compare as bits per byte.

BPE: Sennrich et al. 2016 (arXiv:1508.07909); byte level and the pre-tokenising pattern: GPT-2 (Radford et al. 2019).
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from isostate.config import UserError, nearest

BOUNDARY = 0
MIN_BPE_VOCAB = 257  # the boundary, 255 bytes, one merge
MAX_BPE_VOCAB = 65_536  # tokens are stored as uint16
PIECE_CHARS = 65_536  # a long document is encoded in pieces, which bounds memory and lets the library use all cores


class Tokenizer(ABC):
    """`pieces[token]` is the bytes of a token; the boundary's are empty, so it leaves no trace in decoded text."""

    name: str
    pieces: Sequence[bytes]

    @property
    def vocab_size(self) -> int:
        return len(self.pieces)

    @cached_property
    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) int64: the bytes each token stands for, 1 for the boundary."""
        return np.array([max(1, len(piece)) for piece in self.pieces], dtype=np.int64)

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The tokens of `text`, uint16, without a boundary. Raises UserError when the text holds NUL."""

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        return b"".join(self.pieces[token] for token in tokens)

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of `tokens`; a character that was cut becomes U+FFFD."""
        return self.decode_bytes(tokens).decode("utf-8", errors="replace")


class ByteTokenizer(Tokenizer):
    """Token = byte of the UTF-8 text."""

    name = "bytes"
    pieces = (b"", *(bytes([byte]) for byte in range(1, 256)))

    def encode(self, text: str) -> np.ndarray:
        _refuse_nul(text)
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.uint16)


class BpeTokenizer(Tokenizer):
    """A trained byte-level BPE, from the text of its tokenizer.json (the Hugging Face format)."""

    def __init__(self, tokenizer_json: str) -> None:
        bytes_of = {char: byte for byte, char in enumerate(byte_chars())}
        vocab: dict[str, int] = json.loads(tokenizer_json)["model"]["vocab"]
        pieces = [b""] * len(vocab)
        for chars, token in vocab.items():
            if token != BOUNDARY:
                pieces[token] = bytes(bytes_of[char] for char in chars)
        self.name = f"bpe-{len(vocab)}"
        self.pieces = pieces
        self.tokenizer_json = tokenizer_json

    def encode(self, text: str) -> np.ndarray:
        _refuse_nul(text)
        encodings = self._engine.encode_batch_fast(list(cut(text)), add_special_tokens=False)
        return np.concatenate([np.zeros(0, np.uint16), *(np.array(e.ids, dtype=np.uint16) for e in encodings)])

    @cached_property
    def _engine(self) -> Any:
        from tokenizers import Tokenizer as Engine  # late: bytes never need it, and it takes a tenth of a second

        return Engine.from_str(self.tokenizer_json)


def check_tokenizer(name: str) -> int:
    """The vocabulary size that the name stands for. Raises UserError for a name or size that does not exist."""
    if name == "bytes":
        return 256
    match = re.fullmatch(r"bpe-([1-9][0-9]*)", name)
    if match is None:
        near = nearest(name, ["bytes", "bpe-512", "bpe-1024", "bpe-2048", "bpe-4096"])
        raise UserError(f'unknown tokenizer "{name}"{near}; use "bytes" or "bpe-<vocabulary size>", such as "bpe-1024"')
    size = int(match[1])
    if not MIN_BPE_VOCAB <= size <= MAX_BPE_VOCAB:
        raise UserError(
            f'tokenizer "{name}": a BPE vocabulary has {MIN_BPE_VOCAB} (every byte and one merge) to {MAX_BPE_VOCAB} '
            f'(uint16) tokens; choose a size between, or "bytes"'
        )
    return size


def train_bpe(vocab_size: int, texts: Iterable[str]) -> BpeTokenizer:
    """Learns merges from `texts`; the same texts give the same tokenizer. Raises UserError when they are too few."""
    from tokenizers import Tokenizer as Engine
    from tokenizers import models, pre_tokenizers, trainers

    engine = Engine(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,  # a pair seen once is a memory, not a merge
        special_tokens=["\0"],  # the boundary: no text can spell it
        initial_alphabet=byte_chars()[1:],
        show_progress=False,
    )
    engine.train_from_iterator((piece for text in texts for piece in cut(text)), trainer)
    found = engine.get_vocab_size()
    if found != vocab_size:
        raise UserError(
            f'tokenizer "bpe-{vocab_size}": the training text has pairs enough for {found} tokens only; '
            f'use a vocabulary of at most {found}, "bytes", or more text'
        )
    return BpeTokenizer(engine.to_str())


def cut(text: str, piece_chars: int = PIECE_CHARS) -> Iterator[str]:
    """`text` in pieces that tokenise as the whole does: cut only between a visible ASCII character and a space or
    newline, where GPT-2's pattern always ends a word. Text without such a place stays whole."""
    start = 0
    while start < len(text):
        place = _CUT.search(text, start + piece_chars)
        end = place.end() if place else len(text)
        yield text[start:end]
        start = end


_CUT = re.compile(r"[!-~](?=[ \n])")


def byte_chars() -> list[str]:
    """GPT-2's printable character for each byte, in the order of bytes (`bytes_to_unicode` in its encoder.py)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _refuse_nul(text: str) -> None:
    if "\0" in text:
        raise UserError(f"text holds NUL at character {text.index(chr(0))}: it marks document boundaries; remove it")
