"""Side by side: our counts, those of the counters that users have, and the truth.

    OMP_NUM_THREADS=1 python benchmarks/counters.py [--environment DIR]

Counters: torch's FlopCounterMode, fvcore, calflops, thop, ptflops, torchinfo on the module as it runs; llm-analysis by
formula. They come from PyPI into an environment of the benchmark's own, which shares this one's torch. The truth is
written down by hand below, and must be what `costs/counting.py` counts of the running module, else the benchmark
stops. FLOPs are those of matrix products, 2 a multiply-accumulate: what a counter calls MACs is doubled. Writes
benchmarks/records/counters.json, which docs/counters.md tells.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from counters_models import MODELS, Model

RECORD = Path(__file__).parent / "records" / "counters.json"
COUNTERS = ("fvcore", "calflops", "thop", "ptflops", "torchinfo", "llm-analysis")
PACKAGES = ("fvcore==0.1.5.post20221221", "calflops==0.3.2", "llm-analysis==0.2.2", "thop==0.1.1.post2209072238",
            "ptflops==0.7.5", "torchinfo==1.8.0")  # fmt: skip
BESIDE = ("yacs", "tabulate", "iopath", "portalocker", "termcolor", "fire==0.5.0", "six", "accelerate", "tqdm",
          "pyyaml", "psutil", "packaging")  # fmt: skip
Counts = dict[str, int | float | None]  # "parameters", "forward", "step", "kept by a layer"


def by_torch(model: Model) -> Counts:
    from torch.utils.flop_counter import FlopCounterMode

    module, tokens_BT = model.module(), model.tokens()
    found: Counts = {}
    for name, work in (("forward", lambda: module(tokens_BT)), ("step", lambda: model.step(module))):
        with FlopCounterMode(display=False) as counter:
            work()
        found[name] = counter.get_total_flops()
    return found


def by_fvcore(model: Model) -> Counts:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    module = model.module()
    counted = FlopCountAnalysis(module, model.tokens()).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return {"parameters": parameter_count(module)[""], "forward": 2 * int(counted.total())}


def by_calflops(model: Model) -> Counts:
    from calflops import calculate_flops

    found: Counts = {}
    for name, backward in (("forward", False), ("step", True)):
        _, macs, params = calculate_flops(
            model.module(), args=[model.tokens()], include_backPropagation=backward, print_results=False,
            print_detailed=False, output_as_string=False,
        )  # fmt: skip
        found |= {name: 2 * int(macs), "parameters": int(params)}
    return found


def by_thop(model: Model) -> Counts:
    from thop import profile

    macs, params = profile(model.module(), inputs=(model.tokens(),), verbose=False)
    return {"parameters": int(params), "forward": 2 * int(macs)}


def by_ptflops(model: Model) -> Counts:
    from ptflops import get_model_complexity_info

    macs, params = get_model_complexity_info(
        model.module(), (1,), input_constructor=lambda _: {"tokens_BT": model.tokens()}, as_strings=False,
        print_per_layer_stat=False, verbose=False,
    )  # fmt: skip
    return {"parameters": params, "forward": None if macs is None else 2 * int(macs)}


def by_torchinfo(model: Model) -> Counts:
    from torchinfo import summary

    found = summary(model.module(), input_data=model.tokens(), verbose=0)
    return {"parameters": found.total_params, "forward": 2 * int(found.total_mult_adds)}


def by_llm_analysis(model: Model) -> Counts:
    """Whose formulas know a Transformer with softmax attention only."""
    if model.llm_analysis is None:
        return {}
    from llm_analysis.analysis import LLMAnalysis
    from llm_analysis.config import DtypeConfig, ModelConfig, get_gpu_config_by_name

    config = ModelConfig(name="m", **model.llm_analysis)
    analysis = LLMAnalysis(config, get_gpu_config_by_name("a100-sxm-40gb"), DtypeConfig("w32a32e32", 32, 32, 32))
    found: Counts = {
        "parameters": int(analysis.get_num_params_total()),
        "forward": int(analysis.get_num_flops_fwd_total(model.batch, model.context)),
    }
    found["step"] = found["forward"] + int(analysis.get_num_flops_bwd_total(model.batch, model.context))
    kept = analysis.get_activation_memory_per_layer(model.batch, model.context, is_inference=False, flash_attn=True,
                                                    mlp_gated_linear_units=model.gated)  # fmt: skip
    return {**found, "kept by a layer": int(kept)}


COUNTED_BY: dict[str, Callable[[Model], Counts]] = {
    "FlopCounterMode": by_torch, "fvcore": by_fvcore, "calflops": by_calflops, "thop": by_thop, "ptflops": by_ptflops,
    "torchinfo": by_torchinfo, "llm-analysis": by_llm_analysis,
}  # fmt: skip


def counted(counter: str, model: Model) -> dict[str, Any]:
    """What it says, or the first line of its error: that is a finding, and the others go on."""
    try:
        return COUNTED_BY[counter](model)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"[:160]}


def environment(folder: Path) -> Path:
    """The interpreter of an environment with the counters, which sees this one's packages behind its own."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", *PACKAGES, *BESIDE], check=True)
        own = next(folder.glob("lib/python*/site-packages"))
        own.joinpath("outer.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return python


def serve(name: str) -> None:
    """All counters over one model, in the environment that has them."""
    warnings.simplefilter("ignore")
    model = MODELS[name]
    found = {counter: counted(counter, model) for counter in COUNTED_BY}
    print(json.dumps(found))


def row(name: str, python: Path) -> dict[str, Any]:
    model = MODELS[name]
    truth, ours = model.truth(), model.ours()
    confirmed = model.confirmed()
    assert truth == confirmed, f"{name}: by hand {truth}, counted {confirmed}"
    done = subprocess.run([str(python), __file__, "--serve", name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {"model": name, "truth": truth, "ours": ours, "counters": json.loads(done.stdout.splitlines()[-1])}


def show(rows: list[dict[str, Any]]) -> None:
    for one in rows:
        print(one["model"])
        for quantity, truth in one["truth"].items():
            print(f"  {quantity}: {truth:,}; ours {one['ours'][quantity]:,}")
            for counter, found in one["counters"].items():
                if found.get(quantity) is not None:
                    value = found[quantity]
                    says = "right" if value == truth else f"{value / truth:.3f} of it"
                    print(f"    {counter:16} {value:>18,}  {says}")
        for counter, found in one["counters"].items():
            if "error" in found:
                print(f"    {counter:16} {found['error']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, help="keep the counters there [default: a temporary folder]")
    parser.add_argument("--serve", choices=MODELS, help="count one model, inside of that environment")
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    with tempfile.TemporaryDirectory() as temporary:
        python = environment(asked.environment or Path(temporary, "counters"))
        rows = [row(name, python) for name in MODELS]
    show(rows)
    versions = {"torch": metadata.version("torch"), **dict(package.split("==") for package in PACKAGES)}
    RECORD.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")
    assert all(one["ours"] == one["truth"] for one in rows), "ours differs from the truth"
    print("holds: ours equals the truth in every row")


if __name__ == "__main__":
    main()
