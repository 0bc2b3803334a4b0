"""Files of tables: three formats, packed or not, one shape; what is none is told in one line."""

import gzip
from decimal import Decimal

import pytest

from isostate.config import UserError
from isostate.laws.table_file import read_table
from tests.laws.rows import planted_rows, write

ROWS = [{**row, "corpus": "bard"} for row in planted_rows("chinchilla")]


@pytest.mark.parametrize("name", ["runs.csv", "runs.csv.gz", "runs.CSV", "runs.jsonl", "runs.jsonl.gz", "runs.parquet"])
def test_each_format_gives_the_same_table(tmp_path, name):
    table = read_table(write(tmp_path / name, ROWS))
    assert list(table) == list(ROWS[0])
    for column in ("n_params", "n_tokens", "loss"):
        assert table[column].tolist() == [row[column] for row in ROWS]
    assert set(table["corpus"]) == {"bard"}


def test_parquet_may_be_packed_and_hold_decimals(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"loss": [Decimal("2.5"), Decimal("3.25")]}), tmp_path / "runs.parquet")
    packed = tmp_path / "runs.parquet.gz"
    packed.write_bytes(gzip.compress((tmp_path / "runs.parquet").read_bytes()))
    assert read_table(packed)["loss"].tolist() == [2.5, 3.25]


def test_a_byte_order_mark_blank_lines_and_spaces_after_commas_are_no_part_of_a_table(tmp_path):
    (tmp_path / "runs.csv").write_bytes("\ufeffn_params, loss\r\n1e6, 3\r\n\r\n1e7, 2\r\n".encode())
    table = read_table(tmp_path / "runs.csv")
    assert {name: column.tolist() for name, column in table.items()} == {"n_params": [1e6, 1e7], "loss": [3.0, 2.0]}


def test_a_line_separator_inside_a_json_string_ends_no_row(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"note": "a\u2028b", "loss": 2}\n', encoding="utf-8")
    assert read_table(tmp_path / "runs.jsonl")["loss"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no file"),
        ("runs.xlsx", b"x", "not .xlsx"),
        ("runs.csv", b"", "holds no rows"),
        ("runs.csv", b"n_params,loss\n", "holds no rows"),
        ("runs.jsonl", b"{}\n{}\n", "holds no rows"),
        ("runs.jsonl", b"{", "line 1: not one JSON object a line"),
        ("runs.jsonl", b'{"a": 1}\n3\n', "line 2: not one JSON object a line, but '3'"),
        ("runs.jsonl", b'{"a":' * 5000, "line 1: not one JSON object a line"),
        ("runs.jsonl", b'{"a": 1' + b"0" * 5000 + b"}", "line 1: not one JSON object a line"),
        ("runs.csv", b"\xff\xfe\x00", "not UTF-8 text at byte 0"),
        ("runs.csv", b"\x7fELF\0\0", "a NUL at character 4, so it is binary"),
        ("runs.csv", b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ("runs.csv", b"a,b\n1,2\n1,2,3\n", "row 2: 3 cells under 2 names"),
        ("runs.csv", b"a\n" + b"x" * 200_000, "line 2: not CSV"),
        ("runs.csv.gz", b"plain", "not a whole gzip file"),
        ("runs.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], "not a whole gzip file"),
        ("runs.parquet", b"nothing", "not a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_told(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_table(path)
    assert "\n" not in str(error.value)
