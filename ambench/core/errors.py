"""What goes wrong, said in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something a person typed or handed in is wrong; the message says what, and what is wanted, in one sentence."""


class Skipped(Exception):  # noqa: N818 - it is a verdict on a cell, not a mistake
    """This method, model and data do not fit together; the reason becomes the row's `status`."""


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """Return the hint that ends an error's sentence: the nearest valid name, or all of them (the first 24 of many).

    >>> nearest("gradcan", ["gradcam", "saliency"])
    "did you mean 'gradcam'?"
    """
    names = sorted(valid)
    close = difflib.get_close_matches(wrong, names, n=1)
    shown = ", ".join(names[:24]) + (f", … ({len(names)} in all)" if len(names) > 24 else "")
    return f"did you mean '{close[0]}'?" if close else f"valid: {shown or 'none'}"
