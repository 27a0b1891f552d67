"""Numbers and names as people read them, in tables and sentences."""

from __future__ import annotations

ARROWS = {"higher": "↑", "lower": "↓", "neither": "·"}


def number(value: float | None) -> str:
    """Return a value with three decimals below 10, three digits above, and a dash for none.

    >>> number(0.5), number(12.345), number(1234.5), number(0.000012), number(None)
    ('0.500', '12.3', '1234', '1.2e-05', '-')
    """
    if value is None:
        return "-"
    size = abs(value)
    if size == 0 or 0.0005 <= size < 9.9995:
        return f"{value:.3f}"
    if size < 0.0005:
        return f"{value:.2g}"
    return f"{value:.1f}" if size < 999.95 else f"{value:.0f}"


def price(value: float | None) -> str:
    """Return a cost with three digits, since costs span many orders, and a dash for none.

    >>> price(0.00123), price(2.0), price(123456.0)
    ('0.00123', '2', '123000')
    """
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):.0f}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in brackets, nothing without one.

    >>> interval(0.25, 0.75)
    '[0.250, 0.750]'
    """
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def half_width(low: float | None, high: float | None) -> str:
    """Return half an interval's width after a plus-minus sign, nothing without one.

    >>> half_width(0.25, 0.75)
    '±0.250'
    """
    return "" if low is None or high is None else f"±{number((high - low) / 2)}"


def printable(text: str) -> str:
    """Return a text that cannot move a terminal's cursor: control characters become question marks.

    >>> printable("tab" + chr(27) + "[2J")
    'tab?[2J'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)
