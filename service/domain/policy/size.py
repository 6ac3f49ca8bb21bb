"""How much something is, for people."""


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return "unknown"
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
