"""Bull Board at ``/admin/queues``: the genuine ``@bull-board/ui`` over our own queues, without Node.

``mount(app, guard)`` is the way in; all the rest serves it. See ``docs/bull-board.md``.
"""

from berrante.web.board.guarding import Guard, Identity, OnWrite, OwnerByPassword, refusal
from berrante.web.board.mounting import PATH, mount, options_of
from berrante.web.board.options import BoardOptions

__all__ = ["PATH", "BoardOptions", "Guard", "Identity", "OnWrite", "OwnerByPassword", "mount", "options_of", "refusal"]
