"""Text -> token shards -> batches. No torch here: tokens are numpy arrays.

The order to read: config, corpora (textfiles), holdout, tokenizers, recall, mixing, shards, batches, preparation.
"""

from isostate.data.batches import batch, check_context, eval_windows
from isostate.data.config import DataConfig, Documents
from isostate.data.corpora import CORPORA, Document, Source, open_corpus
from isostate.data.mixing import eval_parts
from isostate.data.preparation import prepare, resolve
from isostate.data.recall import RecallConfig
from isostate.data.shards import Shards, Split, SplitName, open_shards
from isostate.data.tokenizers import BOUNDARY, BpeTokenizer, ByteTokenizer, Tokenizer

__all__ = [
    "BOUNDARY",
    "CORPORA",
    "BpeTokenizer",
    "ByteTokenizer",
    "DataConfig",
    "Document",
    "Documents",
    "RecallConfig",
    "Shards",
    "Source",
    "Split",
    "SplitName",
    "Tokenizer",
    "batch",
    "check_context",
    "eval_parts",
    "eval_windows",
    "open_corpus",
    "open_shards",
    "prepare",
    "resolve",
]
