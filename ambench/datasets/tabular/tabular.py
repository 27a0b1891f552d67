"""What datasets of rows share: their names, parts and cases are those of the rows, read when first wanted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property

from ambench.core import Case, Concepts, Dataset, Part
from ambench.datasets.tabular.rows import Rows


class Tabular(Dataset):
    """A dataset whose inputs are rows of numbers [D] with an answer each."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, sorted, or the name of the one quantity."""
        return self.rows.names

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the inputs [D]."""
        return self.rows.columns

    def concepts(self, part: Part) -> Concepts:
        """Return examples of one part."""
        return self.rows.concepts(part)

    def __iter__(self) -> Iterator[Case]:
        return self.rows.cases()

    @cached_property
    def rows(self) -> Rows:
        """The rows themselves."""
        return self.read()

    @abstractmethod
    def read(self) -> Rows:
        """Return the rows from where they lie; raises InputError for settings that do not fit them."""
