"""A study of your own text from Python: what the command line does, and the records as plain rows.

python examples/own_study.py TEXT_FOLDER RUNS_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from isostate.cli import main
from isostate.records import table

STUDY = """
name = "own"
question = "Does a wider window help on my text?"

[data]
corpus = "{corpus}"
context = 32

[model]
n_layers = 1
d_model = 32
positions = "alibi"

[train]
steps = 40
batch_tokens = 128
lr = 4e-3

[eval]
contexts = [32, 64]
n_tokens = 512
final_tokens = 1024

[[sweep]]
mixer = "window"
window = [2, 8]
"""


def study(text: Path, runs: Path) -> None:
    """Writes the study file, runs it, prints a line a run."""
    runs.mkdir(parents=True, exist_ok=True)
    file = runs / "own.toml"
    file.write_text(STUDY.format(corpus=text.as_posix()), encoding="utf-8")
    code = main(["run", str(file), "--runs", str(runs), "--jobs", "1"])
    if code:
        raise SystemExit(code)
    for row in table(runs / "own"):
        print(row["mixer"]["window"], row["state"]["elements"], row["final"]["64"]["loss_nats"])


if __name__ == "__main__":
    study(Path(sys.argv[1]), Path(sys.argv[2]))
