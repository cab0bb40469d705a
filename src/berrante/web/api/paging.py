"""Keyset pages: ``?limit&after`` in, ``{"data", "next"}`` out."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

Limit = Annotated[int, Query(ge=1, le=200, description="Items at most.")]
After = Annotated[UUID | None, Query(description="The `next` of the page before.")]

Found = TypeVar("Found")
Out = TypeVar("Out", bound=BaseModel)


class Page(BaseModel, Generic[Out]):
    """A page, newest first; give ``next`` as ``after`` to have the page after it, null if this is the last."""

    data: list[Out]
    next: UUID | None


def page(found: Sequence[Found], limit: int, out: Callable[[Found], Out]) -> Page[Out]:
    """Make a page of what was found when one more than ``limit`` was asked for."""
    shown = [out(each) for each in found[:limit]]
    return Page(data=shown, next=shown[-1].id if len(found) > limit else None)  # type: ignore[attr-defined]
