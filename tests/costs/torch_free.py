"""Whether a module of costs imports without torch: its package's __init__ gathers those that need it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import isostate

CODE = """
import sys, types
package = types.ModuleType("isostate.costs")
package.__path__ = [{path!r}]
sys.modules["isostate.costs"] = package
import isostate.costs.{module}
sys.exit("torch" in sys.modules)
"""


def imports_without_torch(module: str) -> bool:
    """`module` such as 'roofline', in a process of its own with an empty package around it."""
    code = CODE.format(path=str(Path(isostate.__file__).parent / "costs"), module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr[-500:]
    return done.returncode == 0
