"""A treemap: rectangles whose areas are sizes, in percent of the width and height of their picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.reports.repository_listing import SizedRepository

_MOST_TILES = 60
_COLOURS = 6
# The picture is about twice as wide as high: near squares are easiest to compare.
_WIDTH, _HEIGHT = 200.0, 100.0


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the treemap, in percent.

    Attributes:
        repository: its name; "" for the rest.
        series: the number of its colour, from 1, which repositories of one prefix share; 0: all other prefixes.
    """

    repository: str
    size_bytes: int
    series: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Treemap:
    """The largest repositories as tiles, the largest first, and the others as one tile.

    Attributes:
        rest: number of repositories in the last tile.
        size_bytes: sum of all sizes.
    """

    tiles: tuple[Tile, ...]
    rest: int
    size_bytes: int


def treemap(rows: Sequence[SizedRepository]) -> Treemap:
    """Lay out repositories, which come the largest first."""
    shown = [row for row in rows[:_MOST_TILES] if row.size_bytes]
    rest = [row for row in rows[_MOST_TILES:] if row.size_bytes]
    items = [*shown, SizedRepository("", sum(row.size_bytes for row in rest))] if rest else shown
    prefixes: dict[str, int] = {}
    for row in shown:
        prefixes.setdefault(row.repository.partition("/")[0], len(prefixes) + 1)
    total = sum(row.size_bytes for row in items)
    boxes = _boxes([row.size_bytes * _WIDTH * _HEIGHT / total for row in items] if total else [])
    tiles = []
    for row, (x, y, width, height) in zip(items, boxes, strict=True):
        number = prefixes.get(row.repository.partition("/")[0], 0)
        across = 100 / _WIDTH
        tiles.append(
            Tile(
                row.repository,
                row.size_bytes,
                number if number <= _COLOURS else 0,
                round(x * across, 2),
                round(y, 2),
                round(width * across, 2),
                round(height, 2),
            )
        )
    return Treemap(tuple(tiles), len(rest), total)


def _boxes(areas: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """Return (x, y, width, height) for each area, with the squarified layout of Bruls, Huizing and van Wijk (2000)."""
    boxes: list[tuple[float, float, float, float]] = []
    x, y, width, height = 0.0, 0.0, _WIDTH, _HEIGHT
    start = 0
    while start < len(areas):
        side, end = min(width, height), start + 1
        while end < len(areas) and _worst(areas[start : end + 1], side) <= _worst(areas[start:end], side):
            end += 1
        row = areas[start:end]
        depth = sum(row) / side if side else 0.0
        along = 0.0
        for area in row:
            length = area / depth if depth else 0.0
            boxes.append((x, y + along, depth, length) if height <= width else (x + along, y, length, depth))
            along += length
        if height <= width:
            x, width = x + depth, max(width - depth, 0.0)
        else:
            y, height = y + depth, max(height - depth, 0.0)
        start = end
    return boxes


def _worst(row: Sequence[float], side: float) -> float:
    total = sum(row)
    if not total or not side:
        return float("inf")
    return max(side * side * max(row) / (total * total), total * total / (side * side * min(row)))
