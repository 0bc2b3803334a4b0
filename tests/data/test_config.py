"""The data's configuration: each field's limits, in one line that teaches."""

from __future__ import annotations

import re

import pytest

from isostate.config import UserError
from isostate.data import DataConfig


def test_the_defaults_are_the_bundled_corpus_in_bytes():
    config = DataConfig.parse({"context": 256}, "study.toml")
    assert (config.corpus, config.tokenizer, config.documents, config.holdout) == ("bard", "bytes", "whole", 0.1)


@pytest.mark.parametrize(
    "values, says",
    [
        ({}, "missing key 'context'"),
        ({"context": 0}, "context = 0: .*greater than or equal to 1"),
        ({"context": 2.5}, "context = 2.5"),
        ({"context": 8, "holdout": 0}, "holdout = 0: .*greater than 0"),
        ({"context": 8, "holdout": 0.9}, r"holdout = 0.9: .*less than or equal to 0.5"),
        ({"context": 8, "holdout": float("nan")}, "holdout"),
        ({"context": 8, "documents": "all"}, "documents = \"all\": .*'whole' or 'stream'"),
        ({"context": 8, "document_mask": "maybe"}, 'document_mask = "maybe": input should be a valid boolean'),
        ({"context": 8, "document_masks": True}, r'did you mean "document_mask"'),
        ({"context": 8, "corpus": ""}, "corpus"),
        ({"context": 8, "tokenizer": "byte"}, r'unknown tokenizer "byte" \(did you mean "bytes"\?\)'),
        ({"context": 8, "tokenizer": "bpe1024"}, r'did you mean "bpe-1024"'),
        ({"context": 8, "tokenizer": "bpe-0512"}, r'unknown tokenizer "bpe-0512"'),
        ({"context": 8, "tokenizer": "bpe-256"}, "257 .* to 65536"),
        ({"context": 8, "tokenizer": "bpe-65537"}, r"65536 \(uint16\)"),
        ({"context": 8, "fingerprint": "abc"}, "fingerprint"),
        ({"context": 8, "corpuss": "bard"}, r'did you mean "corpus"'),
    ],
)
def test_a_mistake_is_told_in_one_line(values, says):
    with pytest.raises(UserError, match=says) as error:
        DataConfig.parse(values, "study.toml")
    assert "\n" not in str(error.value)
    assert re.match("study.toml: ", str(error.value))


def test_masks_that_are_off_leave_the_names_of_runs_alone():
    plain, masked = DataConfig(context=256), DataConfig(context=256, document_mask=True)
    assert plain.digest() == "cda66c86c0e8bf3b", "as before there were masks"
    assert masked.digest() != plain.digest()
    assert DataConfig.model_validate(masked.to_dict()) == masked
    assert DataConfig.model_validate(plain.to_dict()) == plain
