"""The Liquid that users may write: no includes, and no template that grows or runs without bound."""

from collections.abc import Callable, Sized
from functools import wraps
from typing import Any, Final

from liquid import Environment, StrictDefaultUndefined, Undefined
from liquid.exceptions import FilterArgumentError

MAX_SOURCE: Final = 10_000  # characters of one template
MAX_OUTPUT: Final = 8_192  # characters; a WhatsApp text has at most 4,096, and a caption or parameter less
_MAX_ITEMS: Final = 1_000
_REMOVED_TAGS: Final = ("include", "render", "ifchanged", "tablerow", "increment", "decrement", "cycle")
#: Filters whose result is as large as the product of two of its inputs.
_PRODUCTS: Final = frozenset({"replace", "replace_first", "replace_last", "join"})


class CampaignLiquid(Environment):
    """Limits are counted by python-liquid itself, but for filters, which it lets grow: those are wrapped."""

    loop_iteration_limit = _MAX_ITEMS
    output_stream_limit = MAX_OUTPUT * 4  # it counts bytes
    local_namespace_limit = 50_000
    context_depth_limit = 20
    block_nesting_limit = 30

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Leave out what reads other templates or keeps counters, and bound every filter."""
        super().setup_tags_and_filters(extra=extra)
        for name in _REMOVED_TAGS:
            self.tags.pop(name, None)
        for name, filter_ in self.filters.items():
            self.filters[name] = _bounded(name, filter_)


def environment() -> CampaignLiquid:
    """Return a strict environment: an undefined variable raises unless ``default`` replaces it."""
    return CampaignLiquid(undefined=StrictDefaultUndefined, strict_filters=True)


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def bounded(*args: object, **options: object) -> object:
        sizes = [_size(value, name) for value in (*args, *options.values())]
        if name in _PRODUCTS and sizes[0] * max(sizes[1:], default=1) > MAX_OUTPUT * 100:
            raise _too_large(name)
        result = filter_(*args, **options)
        _size(result, name)
        return result

    return bounded


def _size(value: object, name: str) -> int:
    if issubclass(type(value), Undefined):  # not isinstance(): a strict one raises even on that
        return 1
    if isinstance(value, int):
        if value.bit_length() > 256:
            raise _too_large(name)
        return 1
    if not isinstance(value, Sized):
        return 1
    try:
        size = len(value)
    except OverflowError:  # a range of more items than an int of C holds
        raise _too_large(name) from None
    if size > (MAX_OUTPUT if isinstance(value, str) else _MAX_ITEMS):
        raise _too_large(name)
    return size


def _too_large(name: str) -> FilterArgumentError:
    return FilterArgumentError(f"filter {name!r} was given, or made, a value that is too large", token=None)
