"""A network as an observer: its answers to the stimuli of a cue-conflict experiment, as trials beside people's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ambench import features, registry
from ambench.categories import sixteen
from ambench.core import Case, Dataset, InputError, Model
from ambench.naming import Aggregate, answers_categories, evidence
from ambench.plan import NOTHING_GIVEN
from ambench.workbench import batches, resolve_model, sized

GROUP = "networks"
STRANGE = "another class"  # an answer that is none of the stimuli's categories


def network_trials(
    model: str, stimuli: str | Path, aggregate: Aggregate = "mean", device: str = "cpu", batch_size: int = 32
) -> pd.DataFrame:
    """Return a network's answers to all stimuli in a folder, with the columns of `psychophysics.read_trials`.

    They are in the group `networks`, under condition 0. A network of ImageNet's classes answers with the sixteen
    categories, whose members' probabilities are aggregated; any other with its own classes, which the stimuli must then
    be called after. Of equally likely answers the first counts. Raises InputError for an unknown model, stimuli that
    cannot be read, and logits that are not finite.
    """
    observer = resolve_model(model, device, NOTHING_GIVEN)
    dataset = _stimuli(str(stimuli), observer)
    parts = [
        _answers(observer, batch, dataset.classes, aggregate)
        for case in dataset
        for batch in batches(case, batch_size, observer.device)
    ]
    return pd.concat(parts, ignore_index=True).assign(group=GROUP, observer=model, condition="0")


def _stimuli(path: str, observer: Model) -> Dataset:
    own = not answers_categories(observer, list(sixteen()))
    settings: dict[str, Any] = {"path": path, "keep": "all", "categories": observer.classes if own else ()}
    name = "cue_conflict_folder"
    return sized(registry.build(registry.find("datasets", name), settings, name), observer)


def _answers(observer: Model, case: Case, classes: tuple[str, ...], aggregate: Aggregate) -> pd.DataFrame:
    logits = features.logits(observer, case.images)
    broken = (~logits.isfinite()).any(1).nonzero().flatten().tolist()
    if broken:
        raise InputError(f"model '{observer.name}' answers image '{case.ids[broken[0]]}' with NaN or infinity")
    found, columns = evidence(observer, logits, classes, aggregate)  # [B, N], [classes]
    names = dict(zip(columns.tolist(), classes, strict=True))
    assert case.truth.shape is not None
    assert case.truth.texture is not None
    return pd.DataFrame(
        {
            "response": [names.get(column, STRANGE) for column in found.argmax(1).tolist()],
            "shape": [classes[k] for k in case.truth.shape.tolist()],
            "texture": [classes[k] for k in case.truth.texture.tolist()],
            "exemplar": [name.partition("-")[0].lower() for name in case.ids],
        }
    )
