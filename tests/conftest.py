"""What all tests share: one thread, property tests that repeat, uninitialised memory that shows, shared data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Before torch is imported, and for the processes that tests start: bits must not depend on the machine's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Derandomised: a run that passes here passes there. No database: nothing is left in the tree.
hypothesis.settings.register_profile("isostate", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("isostate")

# Where a form could read what it never wrote. Not in train/ and study/: they compare with processes of their own.
FILLED_WITH_NAN = {"mixers", "model"}

CHROMIUM = (  # the names that scripts/setup looks for
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


@pytest.fixture(autouse=True)
def uninitialised_memory_is_nan(request: pytest.FixtureRequest) -> Iterator[None]:
    """torch.empty holds NaN in tests of mixers and models, so that an element nobody wrote cannot pass for a zero."""
    if request.path.relative_to(ROOT / "tests").parts[0] not in FILLED_WITH_NAN:
        yield
        return
    import torch  # other tests start faster without it

    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the repository, for tests against published tables."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no ../shared/data beside the repository: the published tables are not here")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Where none is: skipped on a user's machine, an error in CI, which must install it."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI"):
        pytest.fail("no Chromium in CI: scripts/setup test should have installed it")
    if found is None:
        pytest.skip("no Chromium: install it (Debian: apt-get install chromium) to run the browser tests")
    return found
