"""What the note claims of data: the more long structure a text has, the larger the laws of context size.

The note speaks of the context's size; of a model that carries its context in a state the same is expected of the
state's, and that is held against texts whose long structure was put there: recall mixed into a text, and a text whose
words fillers hold apart. Each against the same text without: other texts differ in more than their long structure.
"""

from __future__ import annotations

import math

from isostate.report import rows as runs
from isostate.report import seeds
from isostate.report.claims import POSITIVE
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge
from isostate.report.note.studies import DATA, Studies, Study
from isostate.report.rows import Row, part_loss
from isostate.report.seeds import Array, Noise

STRUCTURE = Asked(
    "structure",
    "“the more long term structure of the data, the largest the context size scaling laws”; our reading: "
    "the more state pays",
    NOTE,
    DATA,
)
COMPARED = {"all": "all tokens", "text": "the text's own tokens"}
KINDS = {"recall": "all", "fillers": "text"}  # what marks a text that was changed, and the part of it to compare


def of_the_text(studies: Studies) -> list[Claim]:
    """Nats a doubling of state gains on each changed text, less those on the same text as it is."""
    study = studies[DATA]
    parts, words, compared = [], [], []
    for text in sorted({row["corpus"] for row in study.finished}):
        part = next((part for mark, part in KINDS.items() if mark in text), "")
        plain = unchanged(text)
        for family in runs.families(study.finished) if part else []:
            changed, base = gain(study, text, family, part), gain(study, plain, family, "all")
            if changed is not None and base is not None:
                compared.append(f"{text} ({COMPARED[part]}) with {plain}")
                parts.append(Part(f"{family} on {text}", seeds.of_column(changed[0] - base[0]), POSITIVE))
                told = f"{changed[0][0]:.4f} and {base[0][0]:.4f} nats a doubling".replace("-", "−")
                words.append(f"{family} gains {told} on {text} and on {plain}")
                noise = [one.sd for one in (changed[1], base[1])]
                if None not in noise:
                    words.append(f"noise {noise[0]:.4f} and {noise[1]:.4f}")
    unit = "nats a doubling of state gains more than on the text as it is"
    pairs = [f"compared: {', '.join(dict.fromkeys(compared))}"] if compared else []
    return [judge(STRUCTURE, parts, unit, more=[*pairs, *dict.fromkeys(words)], trained=bool(study.finished))]


def unchanged(text: str) -> str:
    """'bard' of 'bard + recall of 8 at 64, 25 %' and of 'bard, 3 fillers'."""
    return text.split(" + ")[0].split(", ")[0]


def gain(study: Study, text: str, family: str, part: str) -> tuple[Array, Noise] | None:
    """Nats a doubling of state, from the smallest to the largest, at the longest context; and the noise on that text.

    The noise is pooled over all families there, for a text with recall is noisier than one without.
    """

    def loss(row: Row) -> float:
        value = part_loss(row, study.longest, part)
        assert value is not None
        return value

    rows = [row for row in study.finished if row["corpus"] == text and part_loss(row, study.longest, part) is not None]
    means = seeds.means(rows, lambda row: (part, *runs.cell(row)), loss)
    states = {setting[-1]: setting for setting in means.values if isinstance(setting, tuple) and setting[1] == family}
    if len(states) < 2:
        return None
    low, high = min(states), max(states)
    return (means.column(states[low]) - means.column(states[high])) / math.log2(high / low), means.noise
