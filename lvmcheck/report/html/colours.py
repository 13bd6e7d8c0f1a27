"""Colours of the runs: distinct, and with enough contrast to the ground of the page, light and dark."""

from __future__ import annotations

import colorsys

LIGHT = ("#0b62a8", "#b8420f", "#00735a", "#8a3d8f", "#7a5c00", "#b3246b", "#3a5a8c", "#5b5b5b")
DARK = ("#6cb8f5", "#ff9d66", "#3fd0a8", "#d79be0", "#e2c044", "#ff86b8", "#9db9ea", "#c2c2c2")
GROUND = {False: "#ffffff", True: "#14181d"}
CONTRAST = 3.2
"""Of a curve to the ground; WCAG 2.2 asks for 3 (success criterion 1.4.11)."""


def palette(count: int, *, dark: bool) -> list[str]:
    """A colour a run, at least eight; beyond the named ones they go round the hues by the golden angle."""
    named = list(DARK if dark else LIGHT)
    return named + [_turned(i, dark=dark) for i in range(count - len(named))]


def _turned(i: int, *, dark: bool) -> str:
    hue = (0.55 + i * 0.618034) % 1
    light = (0.68 if dark else 0.36) + (0.06 if i % 2 else 0)
    while True:
        colour = _hex(*colorsys.hls_to_rgb(hue, light, 0.75))
        if contrast(colour, GROUND[dark]) >= CONTRAST:
            return colour
        light += 0.02 if dark else -0.02  # yellow and green look lighter than they are, blue darker


def _hex(red: float, green: float, blue: float) -> str:
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
