"""The UI's one page and its assets, as the build put them beside this file."""

import hashlib
import json
import re
import secrets
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

ASSETS: Final = Path(__file__).parent / "static"
_INDEX: Final = ASSETS / "index.ejs"

#: A font from elsewhere: it would fail without a network, and with one tell a third party who looks at the board.
_FOREIGN: Final = re.compile(r"<link\b[^>]*\bhref=\"https?://[^>]*>")
_STYLE_TAG: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_STYLE_ATTRIBUTE: Final = re.compile(r"\sstyle=\"([^\"]*)\"")
#: Where a page's nonce is to stand, in itself and in its policy.
_NONCE: Final = "@@nonce@@"
#: Before the UI's own scripts: hands the nonce to the styles that they add.
_STYLES: Final = f'<script src="styles.js" nonce="{_NONCE}"></script>\n</head>'
#: A worker's script has a policy of its own: it may load its parts.
_OF_SCRIPTS: Final = "default-src 'none'; script-src 'self'; connect-src 'self'"
_NO_STORE: Final = "no-store"
_FOREVER: Final = "public, max-age=31536000, immutable"
_HASHED: Final = re.compile(r"\.[0-9a-f]{8,}\.(?:js|css)(?:\.LICENSE\.txt)?$")

MISSING: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Bull Board is not installed</title>
<h1>Bull Board's files are not here</h1>
<p>The queues work; only this page is missing. Its files come with the package when it is built, from npm.
<p>In a clone run <code>make assets</code>, or install a wheel that was built with a package registry within reach.
<p>Meanwhile: <code>berrante queues stats</code>, and <a href="/health/queues">/health/queues</a>.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The page, and the policy under which it may run: no script but the UI's own, no style but theirs."""

    html: str
    policy: str

    def response(self) -> HTMLResponse:
        """Return the page with a nonce of its own."""
        nonce = secrets.token_urlsafe(18)
        headers = {"Cache-Control": _NO_STORE, "Content-Security-Policy": self.policy.replace(_NONCE, nonce)}
        return HTMLResponse(self.html.replace(_NONCE, nonce), headers=headers)


def have_assets() -> bool:
    """Tell whether the build brought the assets."""
    return _INDEX.is_file()


def ui_version() -> str | None:
    """Return the version of ``@bull-board/ui``, or None without assets."""
    manifest = ASSETS / "version.txt"
    return manifest.read_text().strip() if manifest.is_file() else None


def make_page(config: dict[str, Any], *, base: str) -> Page:
    """Fill the UI's template in; raises ``OSError`` without assets."""
    icon = config["favIcon"]
    marks = {
        "<%= basePath %>": escape(base),
        "<%= title %>": escape(config["boardTitle"]),
        "<%= favIconAlternative %>": escape(icon["alternative"]),
        "<%= favIconDefault %>": escape(icon["default"]),
        "<%- uiConfig %>": json.dumps(config).replace("<", "\\u003c").replace(">", "\\u003e"),
    }
    html = _FOREIGN.sub("", _INDEX.read_text())
    for mark, value in marks.items():
        html = html.replace(mark, value)
    html = html.replace("</head>", _STYLES, 1)
    return Page(html=html, policy=policy_of(html))


def policy_of(html: str) -> str:
    """Return a content security policy that allows the page's own inline styles and nothing else inline."""
    tags = " ".join(_digest(text) for text in _STYLE_TAG.findall(html))
    attributes = " ".join(sorted({_digest(text) for text in _STYLE_ATTRIBUTE.findall(html)}))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src-elem 'self' 'nonce-{_NONCE}' {tags}".rstrip(),
            f"style-src-attr 'unsafe-hashes' {attributes}" if attributes else "style-src-attr 'none'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def styles_script() -> Response:
    """Return the script that hands the nonce on."""
    return FileResponse(Path(__file__).parent / "styles.js", headers={"Cache-Control": "no-cache"})


def missing_page() -> Response:
    """Say what to do about absent assets."""
    return HTMLResponse(MISSING, status_code=503, headers={"Cache-Control": _NO_STORE})


class Assets(StaticFiles):
    """The UI's files; those whose name holds a digest of their content may be kept for good."""

    def __init__(self) -> None:
        super().__init__(directory=ASSETS / "static", check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, and how long it may be kept."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _FOREVER if _HASHED.search(path) else "no-cache"
        if path.endswith(".js"):
            response.headers["Content-Security-Policy"] = _OF_SCRIPTS
        return response


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
