"""Faults that a strict page must not have: a page is read as a browser reads it."""

from html.parser import HTMLParser

# In what strangers may have sent; as an element or an attribute it would be theirs, not ours.
MARK = "evil"
_VOID = {"meta", "link", "input", "br", "img", "hr"}
_ADDRESSES = ("href", "src", "action", "hx-get", "hx-post")
# What turns nothing around it: text on its own, and what shows nothing but that.
_APART = {"bdi", "title", "textarea", "pre", "option"}


# They turn what is read, or cannot be seen. Text that is not shown, such as a hidden field, may hold them.
UNSEEN = frozenset("\u202e\u200f\x07")


class Shape(HTMLParser):
    """Note unclosed elements, anything inline or from elsewhere, ids given twice, what is not ours, and text of
    strangers that may turn the direction of what stands around it."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in _VOID:
            self.open.append(tag)
        self.faults += [f"{tag} has {name}" for name in given if name == "style" or name.startswith("on")]
        self.faults += [f"{tag} is not ours: {name}" for name in (tag, *given) if MARK in name]
        if tag == "script" and not given.get("src"):
            self.faults.append("inline script")
        read = [f"{name}={value}" for name, value in given.items() if given.get("type") != "hidden"]
        self.faults += [f"unseen in {item!r}" for item in read if UNSEEN.intersection(item)]
        addresses = [str(given[name]) for name in _ADDRESSES if name in given]
        self.faults += [
            f"leads elsewhere: {item}" for item in addresses if item.startswith("//") or ":" in item.split("/")[0]
        ]
        if tag == "th" and "scope" not in given:
            self.faults.append("a heading of nothing")
        if name := given.get("id"):
            self.faults += [f"{name} twice"] if name in self.ids else []
            self.ids.add(name)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} closed where it is not open")

    def handle_data(self, data: str) -> None:
        if UNSEEN.intersection(data):
            self.faults.append(f"unseen in {data.strip()[:80]!r}")
        if MARK in data and not _APART.intersection(self.open):
            self.faults.append(f"not apart: {data.strip()[:80]}")


def faults(text: str) -> list[str]:
    """Return the faults of a page or a part of one."""
    shape = Shape()
    shape.feed(text)
    shape.close()
    return shape.faults + [f"{tag} is never closed" for tag in shape.open]
