"""One text template: Liquid with spintax, checked when it is saved and rendered for one contact at a time."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from liquid import BoundTemplate
from liquid.exceptions import LiquidError, OutputStreamLimitError, ResourceLimitError, UndefinedError

from berrante.messaging.campaigns.content import spintax
from berrante.messaging.campaigns.content.errors import RenderFailed, TemplateInvalid
from berrante.messaging.campaigns.content.limits import MAX_OUTPUT, MAX_SOURCE, environment
from berrante.messaging.campaigns.content.spintax import CHOICES

#: What every template may name, beside ``fields.…`` of the contact and ``params.…`` of the recipient's own line.
VARIABLES: Final = frozenset({"name", "first_name", "phone", "language", "tags"})
GROUPS: Final = frozenset({"fields", "params"})
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_UNDEFINED: Final = re.compile(r"'?([^\s']{1,80})'? is undefined")
_ENVIRONMENT: Final = environment()


class Template:
    """A template that may be used; making one raises ``TemplateInvalid`` with line and column.

    >>> Template("{Oi|Oi} {{ name }}!").render({"name": "Ana"}, seed="any")
    'Oi Ana!'
    """

    def __init__(self, source: str) -> None:
        if len(source) > MAX_SOURCE:
            raise TemplateInvalid(source, MAX_SOURCE, f"has {len(source)} characters: give at most {MAX_SOURCE}")
        self.source = source
        self._spun = spintax.spin(source)
        self._liquid = self._parsed()
        self.names = self._checked()

    def render(self, values: Mapping[str, object], *, seed: str) -> str:
        """Return the text for one contact; ``seed`` (who it is) decides the alternatives of its spintax.

        Raises ``RenderFailed``: a variable that this contact lacks, or a text beyond its bounds.
        """
        try:
            text = self._liquid.render(**{**values, CHOICES: _choices(self._spun.sizes, seed)})
        except UndefinedError as error:
            name = _UNDEFINED.search(str(error))
            raise RenderFailed("missing_field", f"the contact has no {name[1] if name else 'such field'}") from None
        except OutputStreamLimitError:
            raise RenderFailed("too_long", f"the text has more than {MAX_OUTPUT} characters") from None
        except ResourceLimitError as error:
            raise RenderFailed("too_much_work", _first_line(error)) from None
        except (LiquidError, ArithmeticError) as error:
            raise RenderFailed("render_failed", _first_line(error)) from None
        if len(text) > MAX_OUTPUT:
            raise RenderFailed("too_long", f"the text has {len(text)} characters")
        return text

    def _parsed(self) -> BoundTemplate:
        try:
            return _ENVIRONMENT.from_string(self._spun.liquid)
        except LiquidError as error:
            place = getattr(error.token, "start_index", -1) if error.token is not None else -1
            index = self._spun.source_index(place) if place >= 0 else len(self.source)
            problem = _first_line(error)
            if self._spun.sizes and re.search(r"tag '?(when|case|endcase)\b", problem):
                problem = "a tag that begins in one alternative has to end in it"
            raise TemplateInvalid(self.source, index, problem) from None

    def _checked(self) -> frozenset[str]:
        """Return the contact's fields that are named; raises for a variable or filter that nobody knows."""
        analysis = self._liquid.analyze()
        if CHOICES in self.source:
            raise TemplateInvalid(self.source, self.source.index(CHOICES), f"{CHOICES} is not yours to name")
        for name, spans in analysis.filters.items():
            if name not in _ENVIRONMENT.filters:
                index = self._spun.source_index(spans[0].index)
                raise TemplateInvalid(self.source, index, f"there is no filter {name!r}")
        names: set[str] = set()
        for name, uses in analysis.globals.items():
            for use in uses:
                index = self._spun.source_index(use.span.index)
                if name == CHOICES or name in VARIABLES:
                    continue
                if name not in GROUPS:
                    raise TemplateInvalid(self.source, index, _unknown(name))
                member = use.segments[1] if len(use.segments) > 1 else None
                if not isinstance(member, str) or not _FIELD.fullmatch(member):
                    raise TemplateInvalid(self.source, index, f"name one of them: {{{{ {name}.city }}}}")
                names.add(f"{name}.{member}")
        return frozenset(names)


def _choices(sizes: Iterable[int], seed: str) -> list[int]:
    return [
        int.from_bytes(hashlib.sha256(f"{number}:{seed}".encode("utf-8", "replace")).digest()[:8]) % size
        for number, size in enumerate(sizes)
    ]


def _unknown(name: str) -> str:
    known = ", ".join(sorted(VARIABLES))
    return f"there is no variable {name!r}: use {known}, fields.… or params.…"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


@lru_cache(maxsize=256)
def template(source: str) -> Template:
    """Return the template of a source; campaigns render the same few over and over."""
    return Template(source)
