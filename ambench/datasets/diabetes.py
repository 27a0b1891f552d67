"""Ten measurements of 442 people and how their diabetes went on: `diabetes`, from scikit-learn (Efron et al. 2004)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import sklearn
import torch
from sklearn.datasets import load_diabetes

from ambench.datasets.tabular.rows import Rows, chosen
from ambench.datasets.tabular.tabular import Tabular


@dataclass(frozen=True)
class Diabetes(Tabular):
    """Is the progression after a year above the examples' median? Rows [10] of age, sex, body mass and blood values.

    The table lies in scikit-learn. `without` leaves columns out. Columns are scaled so that the examples span [0, 1];
    shares `fit` and `calibrate` of the rows are examples.

    >>> dataset = Diabetes(without=("sex", "s4"))
    >>> dataset.columns, next(iter(dataset)).images.shape
    (('age', 'bmi', 'bp', 's1', 's2', 's3', 's5', 's6'), torch.Size([89, 8]))
    """

    name: ClassVar[str] = "diabetes"
    citation: ClassVar[str] = "Efron et al. 2004, arXiv math/0406456"

    without: tuple[str, ...] = ()
    fit: float = 0.6
    calibrate: float = 0.2

    def __post_init__(self) -> None:
        self.rows.parts  # noqa: B018 - refuses settings that are wrong

    @property
    def revision(self) -> str:
        """The library's version: the table comes with it."""
        return f"scikit-learn {sklearn.__version__}"

    def read(self) -> Rows:
        """Return the table that comes with scikit-learn."""
        found = load_diabetes(scaled=False)
        columns = tuple(found.feature_names)
        places = chosen((*columns, "progression"), self.without, "progression")
        values, quantity = (torch.as_tensor(part, dtype=torch.float64) for part in (found.data, found.target))
        names = tuple(columns[place] for place in places)
        return Rows(names, values[:, places], "progression", (), quantity, self.fit, self.calibrate)
