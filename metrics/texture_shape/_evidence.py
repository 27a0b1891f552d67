"""Evidence of the outline in maps that explain a case, as values."""

from __future__ import annotations

from ambench.core import Heatmaps, InputError, Trial, Values
from ambench.finite import refuse_broken

from ._outline import Outline, evidence_on_outline, outline


def outlines(trial: Trial[Heatmaps]) -> Outline | None:
    """Return the outlines of a case's objects, None where the dataset does not know them."""
    objects = trial.case.truth.object
    if objects is None:
        return None
    found: Outline = trial.share("outlines", lambda: outline(objects))
    return found


def on_outline(trial: Trial[Heatmaps], maps: Heatmaps) -> Values | None:
    """Return the share of maps' evidence on the outline [B, T], None where the dataset does not know its objects."""
    found = outlines(trial)
    if found is None:
        return None
    values = maps.values
    if values.shape[2:] != found.band.shape[1:]:
        raise InputError(f"maps {list(values.shape)} do not lie on objects {list(found.band.shape)}")
    refuse_broken(trial, values, "map")
    share, flat = evidence_on_outline(values, found)
    return Values.of(share, found.defined[:, None].expand_as(share), flat)
