"""Numbers as the report writes them."""

from __future__ import annotations

__all__ = ["duration", "plain", "rate"]


def rate(value: float) -> str:
    r"""An error rate in per cent.

    >>> rate(0.215)
    '21.5\xa0%'
    """
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def plain(value: float, decimals: int = 2) -> str:
    """A number with a true minus sign, and none before zero.

    >>> plain(-0.001), plain(-0.25)
    ('0.00', '−0.25')
    """
    text = f"{value:.{decimals}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it.

    >>> duration(75), duration(1234.5)
    ('75 s', '20.6 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
