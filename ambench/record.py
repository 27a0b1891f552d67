"""One row of the long table: what was measured, of what, how sure it is, and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from ambench.core import Better, InputError, nearest

SCHEMA_VERSION = 1
ALL = "all"  # the concept of a row that pools all concepts

Status = Literal["ok", "failed", "oom", "timeout", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One number of one cell (model x method x dataset x seed), or the reason why there is none.

    `settings` and `metric_settings` are JSON texts; `method_code` is a digest of the method's file; `n` counts images,
    `n_undefined` and `n_flat` count (image, concept) pairs without truth and without an answer. `floor` is the best
    value a control reaches on the same cell and `floor_control` its name. `range_low` and `range_high` bound the metric
    (None: unbounded); `reads` names what it scores (`heatmaps`, `scores`, `portraits`, `directions`, `cost`, …).
    Raises InputError for a number that is not finite and for an unknown status or direction.

    >>> row = Record(run="r", model="cnn", weights="w", method="gradcam", method_code="c", dataset="shapes",
    ...              revision="1", seed=0, metric="iou", better="higher", value=0.5, n=64)
    >>> row.concept, row.status, row.ci_low
    ('all', 'ok', None)
    """

    run: str
    model: str
    weights: str
    method: str
    settings: str = "{}"
    method_code: str
    dataset: str
    revision: str
    seed: int
    concept: str = ALL
    metric: str
    metric_version: int = 1
    better: Better
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int = 0
    n_undefined: int = 0
    n_flat: int = 0
    floor: float | None = None
    floor_control: str | None = None
    status: Status = "ok"
    error: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 0
    family: str = ""
    supervision: str = "nothing"
    control: bool = False
    metric_settings: str = "{}"
    cell: str = ""
    range_low: float | None = None
    range_high: float | None = None
    reads: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "ci_low", "ci_high", "floor", "range_low", "range_high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise InputError(f"a record's {name} is {number}; leave it out (None) and say why in status and error")
        _one_of("status", self.status, get_args(Status))
        _one_of("better", self.better, get_args(Better))

    @property
    def failed(self) -> bool:
        """Whether something went wrong; a skipped row only did not fit."""
        return self.status in ("failed", "oom", "timeout")

    @property
    def beats_floor(self) -> bool | None:
        """Whether the interval (without one, the value) lies wholly on the better side of the floor; None without one.

        >>> row = Record(run="r", model="m", weights="w", method="a", method_code="c", dataset="d", revision="1",
        ...              seed=0, metric="iou", better="higher", value=0.5, ci_low=0.4, ci_high=0.6, floor=0.45)
        >>> row.beats_floor
        False
        """
        if self.value is None or self.floor is None or self.better == "neither":
            return None
        if self.better == "higher":
            return (self.value if self.ci_low is None else self.ci_low) > self.floor
        return (self.value if self.ci_high is None else self.ci_high) < self.floor

    @property
    def cell_label(self) -> str:
        """The row's cell in a person's words."""
        seed = f", seed {self.seed}" if self.seed else ""
        return f"{self.method} on {self.model}, {self.dataset}{seed}"

    @property
    def label(self) -> str:
        """The row's cell and metric in a person's words."""
        return f"{self.cell_label}: {self.metric}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a dictionary, keys in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Record:
        """Return the row that a dictionary holds; keys that an older ambench did not write get their defaults."""
        known = {field.name: field for field in fields(cls)}
        absent = [n for n, field in known.items() if n not in row and field.default is MISSING]
        if absent:
            raise InputError(f"a record lacks {', '.join(absent)}")
        return cls(**{name: row[name] for name in known if name in row})


KEYS: tuple[str, ...] = tuple(field.name for field in fields(Record))


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise InputError(f"a record's {name} cannot be '{value}'; {nearest(value, valid)}")
