"""`dataclasses.replace` in less than half the time: a job, of forty fields, is replaced ten times on its way."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace
else:
    from dataclasses import fields

    def replace(instance, /, **changes):
        """Return a copy of an instance of a dataclass with slots, which checks nothing when it is made."""
        cls = type(instance)
        get_all, setters = _slots(cls)
        copy = object.__new__(cls)
        for set_value, value in zip(setters, get_all(instance), strict=True):
            set_value(copy, value)
        for name, value in changes.items():
            object.__setattr__(copy, name, value)
        return copy

    @cache
    def _slots(cls):
        names = [field.name for field in fields(cls)]
        return attrgetter(*names), [getattr(cls, name).__set__ for name in names]


__all__ = ["replace"]
