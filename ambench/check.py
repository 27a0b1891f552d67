"""Every plugin against its known answers on this machine: its own examples, and promises kept in the toy world."""

from __future__ import annotations

import doctest
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from io import StringIO
from typing import Any, get_args

from ambench import promises, registry
from ambench.columns import columns
from ambench.core import InputError, Skipped, nearest


@dataclass(frozen=True)
class Finding:
    """Whether one plugin keeps one promise; `fault` says in what it does not, `unfit` why it could not be tried."""

    kind: registry.Kind
    name: str
    promise: str
    fault: str | None = None
    unfit: str | None = None

    @property
    def verdict(self) -> str:
        """What a person reads of it."""
        return f"NO: {self.fault}" if self.fault else f"not tried: {self.unfit}" if self.unfit else "yes"


def check(names: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what was found about each plugin, or about those named; raises InputError for an unknown name.

    >>> [finding.promise for finding in check(["fit_seconds"])]
    ['its examples hold']
    """
    known = {name: kind for kind in get_args(registry.Kind) for name in registry.names(kind)}
    for name in names:
        if name not in known:
            raise InputError(f"there is no plugin '{name}'; {nearest(name, known)}")
    for name in names or known:
        yield from _plugin(known[name], name)


def told(findings: Iterable[Finding]) -> str:
    """Return the findings as text, a line each, and how many promises were broken.

    >>> print(told([Finding("metrics", "iou", "its examples hold")]))
    name  promise            kept
    iou   its examples hold  yes
    <BLANKLINE>
    1 promises checked, 0 broken
    """
    found = list(findings)
    rows = [(one.name, one.promise, one.verdict) for one in found]
    broken = sum(one.fault is not None for one in found)
    return f"{columns(rows, ('name', 'promise', 'kept'))}\n\n{len(found)} promises checked, {broken} broken"


def _plugin(kind: registry.Kind, name: str) -> Iterator[Finding]:
    cls = registry.find(kind, name)
    yield Finding(kind, name, "its examples hold", _examples(cls))
    if any(field.default is MISSING and field.default_factory is MISSING for field in fields(cls)):
        return  # it cannot be made without being told more, such as a folder
    plugin = registry.load(kind, name)
    for promise in promises.of(kind, plugin):
        yield Finding(kind, name, promise.__name__.replace("_", " "), *_tried(promise, plugin))


def _tried(promise: Callable[[Any], str | None], plugin: Any) -> tuple[str | None, str | None]:
    """Return what is wrong, and why it could not be tried; the toy network is not one for every method."""
    try:
        return promise(plugin), None
    except Skipped as reason:
        return None, str(reason)
    except Exception as error:  # a plugin that breaks is what is looked for
        return f"{type(error).__name__}: {error}", None


def _examples(cls: type[Any]) -> str | None:
    """Run the examples in the docstrings of a plugin's module; return the first failure."""
    said = StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    tests = [test for test in doctest.DocTestFinder().find(sys.modules[cls.__module__]) if test.examples]
    if not tests:
        return "it has no example"
    for test in tests:
        runner.run(test, out=said.write)
    return " ".join(said.getvalue().split()) if runner.failures else None
