"""A page opened in headless Chromium, with everything kept that it said, asked for or could not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

# what a plotly drawing shows: its paths, markers, texts and images, without what hovering adds
DRAWN = """plot => [...plot.querySelectorAll('path, text, image, .xtick, .ytick')]
    .filter(node => !node.closest('.hoverlayer'))
    .map(node => [...['d', 'transform', 'href'].map(name => node.getAttribute(name)), node.textContent].join('|'))
    .join('\\n')"""
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1200, "height": 900}}


class Opened:
    """A page with its complaints: console messages of any kind, errors, and requests beside the file's own."""

    def __init__(self, page: Page, path: Path):
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._requested(request.url, path.as_uri()))
        page.goto(path.as_uri())
        # not wait_for_function: it polls by eval, which the page's policy refuses
        expect(page.locator(".export")).to_have_count(page.locator(".canvas").count(), timeout=30_000)

    def _requested(self, url: str, own: str) -> None:
        if url != own and not url.startswith(("data:", "blob:")):
            self.complaints.append(f"request: {url[:200]}")

    def figure(self, identity: str) -> Locator:
        return self.page.locator(f"#figure-{identity}")

    def drawn(self, identity: str) -> str:
        """All that a figure shows, or the words in its place."""
        figure = self.figure(identity)
        missing = figure.locator(".missing")
        return missing.inner_text() if missing.is_visible() else figure.locator(".drawing").evaluate(DRAWN)

    def control(self, identity: str, key: str) -> Locator:
        return self.page.locator(f"#{identity}-{key}")


@contextmanager
def browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium that works in containers too."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def opened(started: Browser, path: Path, **context: Any) -> Iterator[Opened]:
    """The page at `path` in a context of its own; on leaving, there must have been no complaint."""
    inside = started.new_context(**context)
    page = Opened(inside.new_page(), path)
    yield page
    inside.close()
    assert page.complaints == [], "\n".join(page.complaints)
