"""Seconds of training updates and of generated tokens, predicted from measured kernels, against real ones.

    OMP_NUM_THREADS=1 python benchmarks/predict_time.py [--write]

Kernels and models are measured in turn, several times over, and first quartiles are compared: machines drift, and do
other work meanwhile. Of measured steps a prediction knows those of three other models, as one factor: how much longer
kernels take in turn than in a loop. Bounds: median error below 12 %, largest below 30 %.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from isostate.costs.calibrate import Calibration, calibrate, undisturbed
from isostate.costs.clock import first_quartile, own_clock
from isostate.model import Decoder, ModelConfig, Recompute, decayed_parameters
from isostate.train.heap import keep_freed_memory
from isostate.train.optimizer import AdamW
from isostate.train.reproducible import reproducible
from side_by_side import machine

RECORD = Path(__file__).parent / "records" / "predict_time.json"
PASSES, ROUNDS = 4, 3  # a pass: all kernels, then so many rounds over all cases
UPDATES, TOKENS = 1, 24  # of a case, in a round
WARM_UP_UPDATES, WARM_UP_TOKENS = 1, 16  # a case finds the caches full of the last one's
MEDIAN_BOUND, LARGEST_BOUND = 0.12, 0.30


@dataclass(frozen=True)
class Case:
    """A model, and the batch and context that it trains on or generates behind."""

    mixer: dict
    d_model: int = 128
    n_layers: int = 2
    vocab_size: int = 1024
    batch: int = 4
    context: int = 256
    extras: dict | None = None
    recompute: Recompute = "none"

    def config(self) -> ModelConfig:
        sizes = {"vocab_size": self.vocab_size, "n_layers": self.n_layers, "d_model": self.d_model}
        return ModelConfig.parse({**sizes, "mixer": self.mixer, **(self.extras or {})}, "benchmark")

    def name(self) -> str:
        mixer = " ".join(str(value) for value in self.mixer.values())
        again = ["blocks again"] if self.recompute == "blocks" else []
        extras = " ".join([*(str(value) for value in (self.extras or {}).values()), *again])
        sizes = f"{self.n_layers} x {self.d_model}, {self.vocab_size} words, {self.batch} x {self.context}"
        return f"{mixer} {extras}".strip() + f" ({sizes})"


GPT2 = {"mlp": "gelu-tanh", "norm": "layer", "bias": "all", "dropout": 0.1, "position_embedding": "learned"}
SOFTMAX, ALIBI = {"kind": "softmax"}, {"kind": "softmax", "positions": "alibi"}
TRAINING = [
    Case({**SOFTMAX, "positions": "rotary"}, batch=8),
    Case({**ALIBI, "qk_norm": "rms"}, batch=8, extras={"conv_taps": 4}),
    Case(
        SOFTMAX, d_model=64, n_layers=4, vocab_size=256, batch=16, context=128, extras={"mlp": "gelu", "norm": "layer"}
    ),
    Case(SOFTMAX, batch=1, context=2048),
    Case({**ALIBI, "n_kv_heads": 2}, d_model=256, vocab_size=2048),
    Case(SOFTMAX, d_model=32, vocab_size=256, batch=2, context=64),
    Case({"kind": "window", "window": 32, "positions": "alibi"}, context=512),
    Case({"kind": "window", "window": 128}, d_model=64, context=512),
    Case({"kind": "linear", "positions": "alibi"}, context=512),
    Case({"kind": "linear", "gate": "head"}, d_model=64),
    Case({"kind": "taylor", "head_dim": 16, "positions": "alibi"}),
    Case({"kind": "power", "head_dim": 8}, d_model=64),
    Case({"kind": "power", "head_dim": 16, "gate": "head"}, context=512),
    Case({"kind": "power", "head_dim": 8, "degree": 4}, d_model=64, batch=2),
    Case(SOFTMAX, extras=GPT2 | {"max_context": 256}),
    Case({**SOFTMAX, "positions": "rotary"}, extras={"block": "parallel", "mlp": "geglu"}, recompute="blocks"),
    Case({"kind": "power", "head_dim": 8, "gate": "head"}, extras={"dropout": 0.1}, recompute="blocks"),
]
GENERATION = [
    Case({**SOFTMAX, "positions": "rotary"}, batch=1),
    Case(ALIBI, batch=8, context=512),
    Case(
        SOFTMAX, d_model=64, n_layers=4, vocab_size=256, batch=16, context=128, extras={"mlp": "gelu", "norm": "layer"}
    ),
    Case(SOFTMAX, batch=1, context=2048),
    Case({**ALIBI, "n_kv_heads": 2}, d_model=256, vocab_size=2048, batch=8, context=512),
    Case({**ALIBI, "qk_norm": "rms"}, batch=2, extras={"conv_taps": 4}),
    Case({"kind": "window", "window": 128, "positions": "alibi"}, batch=8, context=512),
    Case({"kind": "window", "window": 32}, d_model=64, batch=1),
    Case({"kind": "linear", "positions": "alibi"}, batch=8),
    Case({"kind": "linear", "gate": "head"}, d_model=64, batch=1),
    Case({"kind": "taylor", "head_dim": 16}, batch=8),
    Case({"kind": "power", "head_dim": 8}, d_model=64, batch=4),
    Case({"kind": "power", "head_dim": 16, "gate": "head"}, batch=1),
    Case({"kind": "power", "head_dim": 8, "degree": 4}, d_model=64, batch=2),
]


def prepare_updates(case: Case) -> Callable[[], list[float]]:
    """Seconds of a few updates, without the data's reading."""
    model = Decoder(case.config())
    optimizer = AdamW(*decayed_parameters(model), betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    tokens = torch.randint(case.vocab_size, (case.batch, case.context + 1))
    tokens_BT, targets_BT = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def update() -> None:
        model.train_loss(tokens_BT, targets_BT, recompute=case.recompute).backward()
        optimizer.gradient_norm().item()
        optimizer.step(0.0, 1.0)

    return lambda: [timed(update) for _ in range(WARM_UP_UPDATES + UPDATES)][WARM_UP_UPDATES:]


def prepare_tokens(case: Case) -> Callable[[], list[float]]:
    """Seconds of a few steps of generation, each on the state that the last one left."""
    model = Decoder(case.config())
    with torch.inference_mode():
        _, start = model(torch.randint(case.vocab_size, (case.batch, case.context)))
    token_B1 = torch.zeros(case.batch, 1, dtype=torch.long)

    def play() -> list[float]:
        state, seconds = start, []

        def step() -> None:
            nonlocal state
            _, state = model(token_B1, state, "recurrent")

        with torch.inference_mode():
            seconds += [timed(step) for _ in range(WARM_UP_TOKENS + TOKENS)]
        return seconds[WARM_UP_TOKENS:]

    return play


def timed(work: Callable[[], None]) -> float:
    began = own_clock()
    work()
    return own_clock() - began


def measure() -> tuple[Calibration, list[list[float]], list[list[float]]]:
    """Kernels, updates and tokens, in turn; seconds by case."""
    plays = [*map(prepare_updates, TRAINING), *map(prepare_tokens, GENERATION)]
    calibrations: list[Calibration] = []
    seconds: list[list[float]] = [[] for _ in plays]
    for _ in range(PASSES):
        calibrations.append(calibrate())
        for _ in range(ROUNDS):
            for play, taken in zip(plays, seconds, strict=True):
                taken += play()
    return undisturbed(calibrations), seconds[: len(TRAINING)], seconds[len(TRAINING) :]


def rows_of(cases: list[Case], real: list[list[float]], predict: Callable[[Case], dict[str, float]]) -> list[dict]:
    rows = []
    for case, times in zip(cases, real, strict=True):
        predicted = sum(predict(case).values())
        real_s = first_quartile(times)
        row = {
            "case": case.name(),
            "real_ms": 1e3 * real_s,
            "low_ms": 1e3 * min(times),
            "high_ms": 1e3 * max(times),
        }
        rows.append({**row, "predicted_ms": 1e3 * predicted, "error": predicted / real_s - 1})
    return rows


def show(title: str, rows: list[dict]) -> None:
    print(title)
    for row in rows:
        real = f"{row['real_ms']:8.2f} ms ({row['low_ms']:.2f} to {row['high_ms']:.2f})"
        print(f"  {real}, predicted {row['predicted_ms']:8.2f} ({100 * row['error']:+5.1f} %)  {row['case']}")
    errors = [abs(row["error"]) for row in rows]
    held = "holds" if median(errors) < MEDIAN_BOUND and max(errors) < LARGEST_BOUND else "MISSED"
    print(f"  {held}: median error {100 * median(errors):.1f} %, largest {100 * max(errors):.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {RECORD.name}")
    write = parser.parse_args().write
    keep_freed_memory()  # as training does
    began = time.perf_counter()
    threads = torch.get_num_threads()
    with reproducible(threads, seed=0):
        calibration, updates, tokens = measure()
    facts = f"{machine(threads)}; first quartiles of {PASSES} passes, {time.perf_counter() - began:.0f} s"
    training = rows_of(
        TRAINING, updates, lambda one: calibration.training_s(one.config(), one.batch, one.context, one.recompute)
    )
    generation = rows_of(GENERATION, tokens, lambda one: calibration.decode_s(one.config(), one.batch, one.context))
    print(facts)
    calls = 1e6 * calibration.train_call_s, 1e6 * calibration.decode_call_s
    print(f"in turn: {calibration.train_in_turn:.3f} in training, {calibration.decode_in_turn:.3f} in generation")
    print(f"a call: {calls[0]:.2f} us in training, {calls[1]:.2f} us in generation")
    show("updates", training)
    show("tokens", generation)
    if write:
        RECORD.write_text(json.dumps({"machine": facts, "updates": training, "tokens": generation}, indent=1) + "\n")


if __name__ == "__main__":
    main()
