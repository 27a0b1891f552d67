"""Tables before they are drawn: titles, heads, lines of marked texts, and what stands beneath them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ambench.board import Entry
from ambench.numerals import ARROWS, half_width, interval, number, price

By = Literal["metric", "method", "model"]
K = TypeVar("K", bound=Hashable)

LEGEND = (
    "± is half the 95 % BCa interval over images; of 3 or more seeds, half the t interval over seeds and images.",
    "* is the best group: methods of which no two differ on the same images (sign flips, Holm over all pairs of "
    "methods within one metric, model and dataset). Where nothing differs, nothing is marked.",
    "† does not beat its floor: its interval reaches the best control, or the same method on the untrained model.",
    "↑ higher is better, ↓ lower is better, · neither; n counts images (of costs: repeats).",
)
_BLOCKS = {
    "scores": "is it there?",
    "predictions": "what does the model answer?",
    "heatmaps": "where is it?",
    "portraits": "what do portraits show?",
    "directions": "what do directions hold?",
}
_COST = "what does it cost?"
_FAMILIES = ("synthesis", "probes", "attribution")


@dataclass(frozen=True)
class Text:
    """What stands in one place of a table: bold if best, dim if it does not beat its floor."""

    text: str
    best: bool = False
    floored: bool = False


Line = tuple[str, tuple[Text, ...]]  # a name, and one text for each head
Group = tuple[str, tuple[Line, ...]]


@dataclass(frozen=True)
class Sheet:
    """One table: groups of lines under heads, and the notes that stand beneath."""

    title: str
    corner: str
    heads: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def sheets(entries: Sequence[Entry], by: By) -> list[Sheet]:
    """Return the tables of one view: by model, by method or by metric."""
    views: dict[By, Callable[[Sequence[Entry]], list[Sheet]]]
    views = {"model": _by_model, "method": _by_method, "metric": _by_metric}
    return views[by](entries)


def value_text(entry: Entry) -> Text:
    """Return an entry's value with its interval and marks; a dash where there is none."""
    row = entry.row
    if row.value is None:
        return Text("-")
    if row.reads == "cost":
        return Text(price(row.value))
    floored = row.beats_floor is False
    spread = half_width(row.ci_low, row.ci_high)
    if len(entry.seeds) > 1 and row.ci_low is None:
        spread = interval(min(entry.seeds), max(entry.seeds))
    marks = "*" * entry.best + "†" * floored
    return Text(f"{number(row.value)}{f' {spread}' if spread else ''}{marks}", entry.best, floored)


# ------------------------------------------------------------------------------------------------ views


def _by_model(entries: Sequence[Entry]) -> list[Sheet]:
    """One table for each model, dataset and question; methods as lines, metrics as heads."""
    found: list[Sheet] = []
    for (model, dataset), place in _grouped(entries, lambda e: (e.row.model, e.row.dataset)).items():
        notes = [*_reference_note(place), *_flat_notes(place), *_reason_notes(place, lambda e: e.method)]
        blocks = list(_grouped(sorted(place, key=_block_order), lambda e: _block(e)).items())
        for position, (block, members) in enumerate(blocks):
            last = position == len(blocks) - 1
            heads = list(_grouped(members, _head))
            lines = _family_lines(members, heads, lambda e: e.method)
            counts: Group = ("", (("n", tuple(_counts([e for e in members if _head(e) == head]) for head in heads)),))
            beneath = (*_family_notes(members), *(notes if last else ()))
            title = f"{model} on {dataset}: {block}"
            found.append(Sheet(title, "method", tuple(heads), (*lines, counts), beneath))
    return found


def _by_method(entries: Sequence[Entry]) -> list[Sheet]:
    """One table for each method and question; models and datasets as lines, metrics as heads."""
    found: list[Sheet] = []
    for method, place in _grouped(entries, lambda e: e.method).items():
        for block, members in _grouped(sorted(place, key=_block_order), _block).items():
            heads = list(_grouped(members, _head))
            lines = tuple(_line(name, own, heads) for name, own in _grouped(members, _place).items())
            notes = _reason_notes(members, _place)
            found.append(Sheet(f"{method}: {block}", "model, dataset", tuple(heads), (("", lines),), tuple(notes)))
    return found


def _by_metric(entries: Sequence[Entry]) -> list[Sheet]:
    """One table for each metric: methods in the order of their ranks, with floors, ranks and counts."""
    heads = ("value", "95 % interval", "floor", "rank", "n", "undefined", "flat")
    found: list[Sheet] = []
    for head, members in _grouped(sorted(entries, key=_block_order), _head).items():
        groups = []
        for place, own in _grouped(members, _place).items():
            ordered = sorted((e for e in own if e.row.value is not None), key=_standing)
            groups.append((place, tuple((e.method, _details(e)) for e in ordered)))
        notes = (*_reason_notes(members, lambda e: f"{e.method}, {_place(e)}"), *_family_notes(members))
        found.append(Sheet(head, "method", heads, tuple(groups), notes))
    return found


def _details(entry: Entry) -> tuple[Text, ...]:
    row, rank = entry.row, entry.rank
    value = value_text(entry)
    marks = "*" * entry.best + "†" * value.floored
    floor = "" if row.floor is None else f"{number(row.floor)} {row.floor_control}"
    place = "" if rank is None else f"{rank.rank:g} [{rank.low:g}, {rank.high:g}]"
    counts = (str(row.n), str(row.n_undefined), str(row.n_flat))
    bounds = "" if row.reads == "cost" else interval(row.ci_low, row.ci_high)
    texts = (bounds, floor, place, *counts)
    plain = price(row.value) if row.reads == "cost" else number(row.value)
    return (Text(plain + marks, value.best, value.floored), *map(Text, texts))


# ------------------------------------------------------------------------------------------------ order


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], K]) -> dict[K, list[Entry]]:
    found: dict[K, list[Entry]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return found


def _head(entry: Entry) -> str:
    return f"{entry.row.metric} {ARROWS[entry.row.better]}"


def _place(entry: Entry) -> str:
    return f"{entry.row.model}, {entry.row.dataset}"


def _block(entry: Entry) -> str:
    return _COST if entry.row.reads == "cost" else _BLOCKS.get(entry.row.reads, entry.row.reads or "quality")


def _block_order(entry: Entry) -> int:
    known = list(_BLOCKS)
    reads = entry.row.reads
    return len(known) + 1 if reads == "cost" else known.index(reads) if reads in known else len(known)


def _standing(entry: Entry) -> tuple[int, float, str]:
    """Contenders by rank, then the model's own answer, then controls."""
    kind = 0 if entry.contends else 1 if entry.is_reference else 2
    return kind, entry.rank.rank if entry.rank else 0.0, entry.method


def _family_lines(members: list[Entry], heads: list[str], name: Callable[[Entry], str]) -> tuple[Group, ...]:
    """Lines by family, then the model's own answer, then the controls."""
    families = _grouped(sorted(members, key=_family_order), _family)
    return tuple(
        (family, tuple(_line(own, mine, heads) for own, mine in _grouped(entries, name).items()))
        for family, entries in families.items()
    )


def _family(entry: Entry) -> str:
    if entry.row.control:
        return "controls"
    return "the model's own answer" if entry.is_reference else entry.row.family or "methods"


def _family_order(entry: Entry) -> int:
    if entry.row.control:
        return len(_FAMILIES) + 2
    if entry.is_reference:
        return len(_FAMILIES) + 1
    return _FAMILIES.index(entry.row.family) if entry.row.family in _FAMILIES else len(_FAMILIES)


def _line(name: str, members: list[Entry], heads: list[str]) -> Line:
    texts = {_head(entry): value_text(entry) for entry in members}
    return name, tuple(texts.get(head, Text("")) for head in heads)


# ------------------------------------------------------------------------------------------------ what stands beneath


def _counts(members: list[Entry]) -> Text:
    """How many images a metric saw, and how many pairs had no truth."""
    images = sorted({entry.row.n for entry in members if entry.row.value is not None})
    undefined = max((entry.row.n_undefined for entry in members), default=0)
    several = "-".join(map(str, dict.fromkeys((images[0], images[-1])))) if images else "0"
    return Text(several + (f" ({undefined} undefined)" if undefined else ""))


def _family_notes(members: list[Entry]) -> tuple[str, ...]:
    tests = max((entry.tests for entry in members), default=0)
    return (f"Holm over up to {tests} pairs of methods within each metric.",) if tests else ()


def _reference_note(place: list[Entry]) -> list[str]:
    own = [e for e in place if e.is_reference and e.row.value is not None and e.row.reads == "scores"]
    numbers = ", ".join(f"{e.row.metric} {number(e.row.value)}" for e in own)
    return [f"The model's own answer (prediction): {numbers}."] if own else []


def _flat_notes(place: list[Entry]) -> list[str]:
    """The methods that gave no answer somewhere, with the most (image, concept) pairs that any metric counted."""
    most: dict[str, int] = {}
    for entry in place:
        most[entry.method] = max(most.get(entry.method, 0), entry.row.n_flat)
    silent = [f"{method} {count}" for method, count in most.items() if count]
    return [f"No answer (flat map, dead unit; scored as such): {', '.join(silent)}."] if silent else []


def _reason_notes(members: Iterable[Entry], name: Callable[[Entry], str]) -> list[str]:
    """One note for each method, status and reason."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for entry in members:
        if entry.row.status != "ok" or entry.row.error:
            reason = " ".join((entry.row.error or "no reason given").split())
            status = "in part" if entry.row.status == "ok" else entry.row.status
            found.setdefault((name(entry), status, reason), []).append(entry.row.metric)
    return [f"{who} {status} ({', '.join(names)}): {why}" for (who, status, why), names in found.items()]
