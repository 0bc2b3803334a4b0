"""A worker without torch: does with each run what the run's folder's file `act` says. Started as a script."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(**event) -> None:
    print(json.dumps(event), flush=True)


def act_on(run: Path) -> bool:
    """Whether to go on with another run."""
    act, run_id = (run / "act").read_text(), run.name
    say(event="start", run_id=run_id, step=0, steps=2)
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "raise":
        raise RuntimeError("not enough memory")
    elif act == "fail":
        say(event="failed", run_id=run_id, message="runs/x: no space left on device; free some space")
    elif act == "wait":
        deadline = time.monotonic() + 60
        while not stopped and time.monotonic() < deadline:
            time.sleep(0.01)
        say(event="finished", run_id=run_id, status="stopped")
        return False
    else:
        (run / "trained").write_text(str(os.getpid()))
        say(event="finished", run_id=run_id, status=act)
    return True


stopped: list[int] = []

if __name__ == "__main__":
    if sys.argv[1:] == ["broken"]:
        sys.exit("no module named torch")
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    say(event="ready", pid=os.getpid())
    for line in sys.stdin:
        if not act_on(Path(json.loads(line)["run_dir"])):
            break
