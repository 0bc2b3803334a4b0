from __future__ import annotations

import subprocess
import sys

import isostate


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "isostate", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"isostate {isostate.__version__}"
    refused = subprocess.run([sys.executable, "-m", "isostate", "rnu"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "run" in refused.stderr
    assert "Traceback" not in refused.stderr
