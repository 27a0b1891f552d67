"""What a person asks for: which models, methods, datasets and metrics to cross, and under which conditions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ambench.core import InputError, nearest

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Grid(_Strict):
    """One full crossing: every method explains every model on every dataset.

    Metrics by name, `all` that fit, or the `standard` ones of these, which need nothing but the answer itself.
    """

    models: Names
    methods: Names
    datasets: Names
    metrics: Names | Literal["all", "standard"] = "standard"

    @field_validator("models", "methods", "datasets", "metrics", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_names(value) if isinstance(value, str) and value not in ("all", "standard") else value


class Suite(_Strict):
    """Some grids and the conditions of all their cells; costs are taken with the first seed only."""

    name: str = Field(default="custom", pattern=r"^[\w.-]+$")
    seed: int | tuple[int, ...] = 0
    limit: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1)
    device: str = "cpu"
    timeout_seconds: float | None = Field(default=None, gt=0)
    grids: Annotated[tuple[Grid, ...], Field(min_length=1)]

    @field_validator("seed", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) and "," in value else value

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, also where there is one."""
        return (self.seed,) if isinstance(self.seed, int) else tuple(dict.fromkeys(self.seed))

    def asked(self) -> dict[str, Any]:
        """Return what decides the run's numbers, as JSON would hold it: everything but the time limit."""
        return self.model_dump(mode="json", exclude={"timeout_seconds"})

    @property
    def digest(self) -> str:
        """Eight hex digits that two suites share only when they ask for the same numbers."""
        return hashlib.blake2b(json.dumps(self.asked(), sort_keys=True).encode(), digest_size=4).hexdigest()

    @staticmethod
    def parse(content: object) -> Suite:
        """Return the suite that a mapping describes; raises InputError naming the wrong key and the nearest valid one.

        >>> grid = {"models": "cnn", "methods": ["gradcam", "cav"], "datasets": "shapes"}
        >>> Suite.parse({"name": "small", "grids": [grid]}).grids[0].methods
        ('gradcam', 'cav')
        """
        if not isinstance(content, Mapping):
            raise InputError(f"a suite is a mapping with the keys {', '.join(Suite.model_fields)}")
        try:
            return Suite.model_validate(content)
        except ValidationError as error:
            raise InputError(f"the suite is not right: {_sentence(error)}") from None

    @staticmethod
    def read(path: str | Path) -> Suite:
        """Return the suite in a YAML file, named after the file unless it says otherwise; raises InputError."""
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise InputError(f"the suite '{path}' cannot be read: {reason}") from None
        except yaml.YAMLError as error:
            raise InputError(f"the suite '{path}' is not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, Mapping):
            raise InputError(f"the suite '{path}' is not a mapping with the keys {', '.join(Suite.model_fields)}")
        return Suite.parse({"name": re.sub(r"[^\w.-]", "-", Path(path).stem)} | dict(content))

    @staticmethod
    def from_flags(file: str | Path | None = None, **flags: Any) -> Suite:
        """Return a suite from flags alone, or a file with flags put over it; a flag that is None was not given.

        Without a file, naming models, methods, datasets or metrics makes one grid, whose other axes are those of the
        embedded suite's first; with a file it replaces that axis in every grid.

        >>> Suite.from_flags(models=["cnn"], methods=["gradcam"], limit=8).grids[0].datasets
        ('shapes',)
        """
        given = {key: value for key, value in flags.items() if value is not None}
        axes = {key: given.pop(key) for key in Grid.model_fields if key in given}
        base = embedded() if file is None else Suite.read(file)
        grids = base.grids[:1] if file is None and axes else base.grids
        content: dict[str, Any] = base.model_dump() | given
        if file is None and axes:
            content["name"] = given.get("name", "custom")
        content["grids"] = [grid.model_dump() | axes for grid in grids]
        return Suite.parse(content)


def embedded() -> Suite:
    """Return the suite that comes with ambench: what `ambench run` runs.

    >>> embedded().name
    'embedded'
    """
    return Suite.parse(yaml.safe_load((files("ambench.suites") / "embedded.yaml").read_text(encoding="utf-8")))


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list; a `setting=value` belongs to the name before it.

    >>> split_names("gradcam,actmax:steps=8,restarts=2,cav")
    ('gradcam', 'actmax:steps=8,restarts=2', 'cav')
    """
    parts = [part.strip() for part in text.split(",")]
    names: list[str] = []
    for part in filter(None, parts):
        if names and ":" in names[-1] and re.match(r"\w+=", part):
            names[-1] += f",{part}"
        else:
            names.append(part)
    return tuple(names)


def _sentence(error: ValidationError) -> str:
    """The first problem as half a sentence: an unknown key before anything it may have caused."""
    problem = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    *place, key = problem["loc"]
    where = f" in {'.'.join(map(str, place))}" if place else ""
    if problem["type"] == "extra_forbidden":
        valid = Grid.model_fields if place else Suite.model_fields
        return f"unknown key '{key}'{where}; {nearest(str(key), valid)}"
    if problem["type"] == "missing":
        return f"the key '{key}'{where} is missing"
    return f"'{key}'{where}: {problem['msg'][:1].lower()}{problem['msg'][1:]}, not {problem['input']!r}"
