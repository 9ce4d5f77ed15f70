"""Files opened from disk, as a reader opens them: with no kernel and no network."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page


class Disk:
    """`disk(file)` opens it in a profile of its own. Every request but for the file itself is blocked and noted; so is whatever goes wrong,
    warns, asks with a dialog, or is refused by the page's own policy, but for messages that `allowed` holds."""

    def __init__(self, browser: Browser):
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.asked: list[str] = []
        self.errors: list[str] = []

    def __call__(self, file: Path, *, allowed: Container[str] = (), **options) -> Page:
        context = self.browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
        self.contexts.append(context)
        context.route(re.compile("^(?!blob:|data:|about:)"), self._blocked)
        context.set_offline(True)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI))"
        )
        note = lambda text: None if text in allowed else self.errors.append(text)  # noqa: E731
        page = context.new_page()
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (note(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri())
        return page

    def _blocked(self, route) -> None:
        if route.request.url.startswith("file:") and route.request.is_navigation_request():
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        assert self.asked == [], "a request was attempted"
        assert self.errors == [], "the page reported errors"
