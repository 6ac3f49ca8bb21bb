"""Sizes as users read them."""


def size(count: int | None) -> str:
    """Return a number of bytes in the largest fitting unit, such as "1.5 MB"; "unknown" for None."""
    if count is None:
        return "unknown"
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
