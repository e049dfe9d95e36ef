"""Pairs a closed set of words with a generated enum."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, Protocol, TypeVar

Word = TypeVar("Word", bound=StrEnum)
Number = TypeVar("Number", bound=int)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class Numbers(Protocol[Number_co]):
    """A generated enum: the part of its wrapper that is used here."""

    def Value(self, name: str) -> Number_co:  # noqa: N802 - protobuf's name
        """Return the number of a name."""
        ...


class EnumPair(Generic[Word, Number]):
    """A `StrEnum` and the generated enum whose names are its words behind a prefix."""

    def __init__(self, words: type[Word], numbers: Numbers[Number], prefix: str) -> None:
        """Pair them; a word that has no number is a `ValueError`."""
        self._numbers = {word: numbers.Value(prefix + word.value) for word in words}
        self._words: dict[int, Word] = {number: word for word, number in self._numbers.items()}

    def to_proto(self, word: Word) -> Number:
        """Return the number of a word."""
        return self._numbers[word]

    def from_proto(self, number: int) -> Word | None:
        """Return the word of a number, or None where there is no such word here."""
        return self._words.get(number)
