"""How the board looks and what it lets people do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

DOCS_URL: Final = "https://github.com/berrante/berrante/blob/main/docs/bull-board.md"

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardOptions:
    """What differs from board to board.

    ``read_only`` shows everything and changes nothing; ``read_only_queues`` holds that for some queues alone.
    ``descriptions`` stand under the queues' names, and ``schemas`` (JSON Schema, by queue) help whoever adds a job.
    ``environment`` is a label, such as ``staging``, at the top.
    """

    title: str = "Berrante"
    read_only: bool = False
    read_only_queues: frozenset[str] = frozenset()
    descriptions: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NOTHING)
    docs_url: str = DOCS_URL
    environment: str | None = None

    def is_read_only(self, queue: str) -> bool:
        """Tell whether a queue may only be looked at."""
        return self.read_only or queue in self.read_only_queues

    def ui_config(self) -> dict[str, Any]:
        """Return what the page tells the UI of itself."""
        config: dict[str, Any] = {
            "boardTitle": self.title,
            "favIcon": {"default": "static/images/logo.svg", "alternative": "static/favicon-32x32.png"},
            # Its own docs are of Node's package; ours say what holds here.
            "hideDocsLink": True,
            "miscLinks": [{"text": "Docs", "url": self.docs_url}],
            "pollingInterval": {"showSetting": True},
            # The pages of its metrics history; nothing here records one.
            "hasHistoryProvider": False,
            "hasHistoryUsage": False,
            "canPurgeHistory": False,
            "hasLatencyHistory": False,
        }
        if self.environment:
            config["environment"] = {"label": self.environment}
        return config
