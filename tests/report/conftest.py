from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isostate.report import page
from isostate.report.fits import fit_laws
from tests.conftest import CHROMIUM
from tests.report import browser, studies


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium: the page is for browsers, so without one these tests fail rather than say nothing."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("no Chromium: run `scripts/setup test`, or install it (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Pages of made-up studies: full, hostile, empty."""
    folder = tmp_path_factory.mktemp("pages")
    written = {}
    for name, (study, table) in {
        "full": (studies.STUDY, studies.full()),
        "hostile": studies.hostile(),
        "empty": (studies.STUDY, []),
    }.items():
        written[name] = folder / f"{name}.html"
        written[name].write_text(page.render(study, table, fit_laws(table, study)))
    return written


@pytest.fixture(scope="session")
def started(chromium):
    with browser.browser(chromium) as running:
        yield running


@pytest.fixture
def full_page(started, pages):
    with browser.opened(started, pages["full"], **browser.DESKTOP) as opened:
        yield opened
