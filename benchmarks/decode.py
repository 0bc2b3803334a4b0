"""Generation at batch 1: a token of each family against the time to read its weights and state once, float32.

    [chrt -r 1] python benchmarks/decode.py [--flat]        chrt, as root, where the machine does other work too

Models of 25 million parameters besides a tied embedding of 1024 words (8 layers of 512; `match_params` sets the MLP's
width), two threads. The bandwidth is the faster of two plain ones, each a contestant like the models, in the same
alternating rounds: a sum over 256 MB, which reads alone, and the triad that `isostate doctor` measures. Bound for the
recurrent families: 2.5 times the time to read. Beside them softmax at a short context, and transformers' `generate` on
a Llama of its shape, with the same two threads.

`--flat`: ms a token at positions 1, 1024, 16,384 and 65,536. A state reads 1024 random tokens by the chunked form and
is then said to stand at the position; the first has read one. Positions take turns, and each state is measured twice,
as the noise: bound, the slowest within 10 % of the fastest, or within that noise. A window that holds one token has
less to read: its first position is told, not counted. Writes benchmarks/records/decode.json.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from isostate.costs.hardware import STREAM_ELEMENTS
from isostate.model import Decoder, ModelConfig, match_params
from isostate.model.decode import Stepper
from side_by_side import compare, machine, serve

RECORD = Path(__file__).parent / "records" / "decode.json"
THREADS, ROUNDS, TOKENS = 2, 9, 24
PARAMETERS, VOCABULARY, LAYERS, WIDTH = 25_000_000, 1024, 8, 512
CONTEXT = 256  # positions behind which a token is timed, and a window's
READ_ELEMENTS, READS = 2**26, 6  # 256 MB a vector
BOUND, FLAT_BOUND = 2.5, 1.10
POSITIONS = (1, 1024, 16_384, 65_536)
FAMILIES = {
    "linear": {"kind": "linear", "n_heads": 8},
    "taylor-2": {"kind": "taylor", "head_dim": 32},
    "power-2": {"kind": "power", "head_dim": 64, "gate": "head"},
    "mamba": {"kind": "mamba"},
    "mamba2": {"kind": "mamba2", "head_dim": 64},
    "s4": {"kind": "s4"},
    "window": {"kind": "window", "n_heads": 8, "window": CONTEXT, "positions": "rotary"},
    "softmax": {"kind": "softmax", "n_heads": 8, "positions": "rotary"},
}
RECURRENT = [name for name in FAMILIES if name != "softmax"]


def config_of(name):
    sizes = {"vocab_size": VOCABULARY, "n_layers": LAYERS, "d_model": WIDTH, "mixer": FAMILIES[name]}
    return match_params(ModelConfig.parse(sizes, name), PARAMETERS)


def read_bytes(name, context=CONTEXT):
    """Of weights and state, each once."""
    config = config_of(name)
    return 4 * (config.param_count().total + config.state_size(context).elements)


def prompt(length=CONTEXT):
    return torch.randint(0, VOCABULARY, (1, length), generator=torch.Generator().manual_seed(0))


def ours(name):
    torch.set_num_threads(THREADS)
    model = Decoder(config_of(name)).eval()
    stepper = Stepper(model, 1, CONTEXT + TOKENS)
    with torch.inference_mode():
        _, state = model(prompt())
    token_B = prompt()[:, 0]

    def play():
        stepper.load(state)
        for _ in range(TOKENS):
            stepper.step(token_B)

    return play


def llama(n_tokens):
    """The prompt, and so many tokens, of which the first comes with it."""
    from transformers import LlamaConfig, LlamaForCausalLM, logging

    logging.set_verbosity_error()
    torch.set_num_threads(THREADS)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 8}
    config = LlamaConfig(**sizes, intermediate_size=config_of("softmax").d_ff, tie_word_embeddings=True)
    config.eos_token_id = config.bos_token_id = config.pad_token_id = None
    model = LlamaForCausalLM(config).eval()
    assert sum(x.numel() for x in model.parameters()) == config_of("softmax").param_count().total
    rest = {"do_sample": False, "use_cache": True, "attention_mask": torch.ones_like(prompt())}

    def play():
        with torch.inference_mode():
            model.generate(prompt(), max_new_tokens=n_tokens, **rest)

    return play


def read():
    torch.set_num_threads(THREADS)
    x = torch.ones(READ_ELEMENTS)

    def play():
        for _ in range(READS):
            x.sum()

    return play


def triad():
    torch.set_num_threads(THREADS)
    a, b, total = torch.ones(STREAM_ELEMENTS), torch.ones(STREAM_ELEMENTS), torch.empty(STREAM_ELEMENTS)

    def play():
        for _ in range(READS):
            torch.add(a, b, alpha=3.0, out=total)

    return play


CONTESTANTS = {
    "read": read,
    "triad": triad,
    **{name: (lambda name=name: ours(name)) for name in FAMILIES},
    "transformers": lambda: llama(TOKENS + 1),
    "transformers' prompt": lambda: llama(1),
}


def token(rows, name, key="seconds"):
    """Seconds of one."""
    if name == "transformers":
        return (rows[name][key] - rows["transformers' prompt"][key]) / TOKENS
    return rows[name][key] / TOKENS


def speed():
    rows = compare(list(CONTESTANTS), ROUNDS, THREADS)
    rates = {
        "read": 4 * READ_ELEMENTS * READS / rows["read"]["seconds"],
        "triad": 12 * STREAM_ELEMENTS * READS / rows["triad"]["seconds"],
    }
    bandwidth = max(rates.values())
    plain = ", ".join(f"{name} {rate / 1e9:.1f} GB/s" for name, rate in rates.items())
    print(f"a token at batch 1 behind {CONTEXT} ({machine(THREADS)}; medians of {ROUNDS}); {plain}")
    told = []
    for name in [*FAMILIES, "transformers"]:
        config = config_of("softmax" if name == "transformers" else name)
        n_bytes = read_bytes("softmax" if name == "transformers" else name)
        took_s, least_s = token(rows, name), n_bytes / bandwidth
        row = {
            "family": name,
            "parameters": config.param_count().total,
            "state_elements": config.state_size(CONTEXT).elements,
            "ms": round(1e3 * took_s, 3),
            "low_ms": round(1e3 * token(rows, name, "low"), 3),
            "high_ms": round(1e3 * token(rows, name, "high"), 3),
            "read_ms": round(1e3 * least_s, 3),
            "ratio": round(took_s / least_s, 3),
        }
        told.append(row)
        verdict = ""
        if name in RECURRENT:
            verdict = f"; {'holds' if row['ratio'] <= BOUND else 'MISSED'} (at most {BOUND})"
        print(
            f"  {name:13} {row['parameters'] / 1e6:.1f}M, state {row['state_elements'] / 1e6:5.2f}M: "
            f"{row['ms']:6.2f} ms ({row['low_ms']:.2f} to {row['high_ms']:.2f}), {row['ratio']:.2f} times its read"
            + verdict
        )
    gb = {name: round(rate / 1e9, 1) for name, rate in rates.items()}
    write({"machine": machine(THREADS), "rounds": ROUNDS, "gb_per_s": gb, "rows": told})


def flat_rounds(name):
    """Seconds of a token by position, [first, second] measure of the same state, a list a round."""
    torch.set_num_threads(THREADS)
    model = Decoder(config_of(name)).eval()
    stepper = Stepper(model, 1)
    with torch.inference_mode():
        _, one = model(prompt(1))
        _, read = model(prompt(1024))
    states = [one if position == 1 else at(read, position) for position in POSITIONS]
    token_B = prompt()[:, 0]
    seconds = [[[], []] for _ in POSITIONS]
    for _ in range(ROUNDS + 1):
        for place, state in enumerate(states):
            for times in seconds[place]:
                stepper.load(state)
                stepper.step(token_B)
                began = time.perf_counter()
                for _ in range(TOKENS // 2):
                    stepper.step(token_B)
                times.append((time.perf_counter() - began) / (TOKENS // 2))
    return [[times[1:] for times in twice] for twice in seconds]


def at(state, position):
    """The same state, said to stand there."""
    layers = [
        dataclasses.replace(layer, mixer=dataclasses.replace(layer.mixer, position=position)) for layer in state.layers
    ]
    return dataclasses.replace(state, layers=tuple(layers))


def flatness():
    print(f"ms a token by position, two measures each ({machine(THREADS)}; medians of {ROUNDS})")
    told = []
    for name in RECURRENT:
        environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
        command = [sys.executable, __file__, "--flat-of", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        twice = [[median(times) for times in both] for both in json.loads(done.stdout.splitlines()[-1])]
        noise = max(max(both) / min(both) for both in twice)
        means = [sum(both) / 2 for both in twice]
        counted = means[1:] if name == "window" else means
        spread = max(counted) / min(counted)
        held = spread <= max(FLAT_BOUND, noise)
        row = {
            "family": name,
            "ms": dict(zip(map(str, POSITIONS), [round(1e3 * one, 3) for one in means], strict=True)),
        }
        told.append(row | {"largest_over_smallest": round(spread, 3), "noise": round(noise, 3)})
        times = ", ".join(f"{1e3 * one:.2f}" for one in means)
        print(f"  {name:9} {times}: {spread:.3f}, noise {noise:.3f}; {'holds' if held else 'MISSED'}")
    write({"flat": {"positions": POSITIONS, "rounds": ROUNDS, "rows": told}})


def write(part):
    """Either half of the record leaves the other as it is."""
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    RECORD.write_text(json.dumps(known | part, indent=1) + "\n")


if len(sys.argv) == 3 and sys.argv[1] == "--worker":
    serve(CONTESTANTS)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--flat-of"]:
        print(json.dumps(flat_rounds(sys.argv[2])))
    elif sys.argv[1:] == ["--flat"]:
        flatness()
    else:
        speed()
        flatness()
