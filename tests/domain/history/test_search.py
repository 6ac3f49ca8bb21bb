"""The text of the search box, and the query behind it."""

import pytest

from service.domain.history.search import ParsedSearch, parse_search

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", ParsedSearch("", "", "")),
        (" Alice ", ParsedSearch("alice", "alice", "")),
        ("sha256:AB12cd34", ParsedSearch("", "", "sha256:ab12cd34")),
        (DIGEST, ParsedSearch("", "", DIGEST)),
        ("sha512:ab12cd34", ParsedSearch("", "", "sha512:ab12cd34")),
        # The hash of a commit is often a tag, and looks like a digest.
        ("ab12cd34", ParsedSearch("", "ab12cd34", "sha256:ab12cd34")),
        ("ab12cd3", ParsedSearch("ab12cd3", "ab12cd3", "")),
        ("shop/api:v1", ParsedSearch("shop/api", "v1", "", is_reference=True)),
        ("shop/api:ab12cd34", ParsedSearch("shop/api", "ab12cd34", "", is_reference=True)),
        (f"shop/api@{DIGEST}", ParsedSearch("shop/api", "", DIGEST, is_reference=True)),
        (f"shop/api:v1@{DIGEST}", ParsedSearch("shop/api", "", DIGEST, is_reference=True)),
        ("shop/api:", ParsedSearch("shop/api", "", "")),
        (":v1", ParsedSearch("", "v1", "")),
        ("registry.example.com:5000/shop/api:v1", ParsedSearch("shop/api", "v1", "", is_reference=True)),
        ("https://registry.example.com/shop/api:v1", ParsedSearch("shop/api", "v1", "", is_reference=True)),
        ("registry.example.com:5000/shop/api", ParsedSearch("shop/api", "shop/api", "")),
        ("my.team/api", ParsedSearch("my.team/api", "my.team/api", "")),
    ],
)
def test_a_text_is_a_name_a_reference_or_a_digest(text: str, query: ParsedSearch) -> None:
    assert parse_search(text) == query
