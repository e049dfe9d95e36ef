"""Pairs a closed set of words with a generated enum."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from google.protobuf.descriptor import EnumDescriptor

Word = TypeVar("Word", bound=StrEnum)
Number = TypeVar("Number", bound=int)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class Numbers(Protocol[Number_co]):
    """A generated enum: the part of its wrapper that is used here."""

    @property
    def DESCRIPTOR(self) -> EnumDescriptor:  # noqa: N802 - protobuf's name
        """What the enum consists of."""
        ...

    def Value(self, name: str) -> Number_co:  # noqa: N802 - protobuf's name
        """Return the number of a name."""
        ...


@dataclass(frozen=True, slots=True)
class EnumPair(Generic[Word, Number]):
    """A `StrEnum` and the generated enum whose names are its words behind a prefix."""

    words: type[Word]
    numbers: Numbers[Number]
    prefix: str

    def to_proto(self, word: Word) -> Number:
        """Return the number of a word."""
        return self.numbers.Value(self.prefix + word.value)

    def from_proto(self, number: int) -> Word | None:
        """Return the word of a number, or None where there is no such word here."""
        value = self.numbers.DESCRIPTOR.values_by_number.get(number)
        if value is None:
            return None
        try:
            return self.words(value.name.removeprefix(self.prefix))
        except ValueError:
            return None
