"""HTML as a test reads it, and what every page of a report must be."""

import re
from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "wbr", "link", "img", "input", "hr", "col"})  # tags that need no end
LOADING = {"link", "img", "iframe", "object", "embed", "base", "form"}


class Page(HTMLParser):
    """Tags that are open, all tags and attributes, and the text. Every tag that is not in VOID must close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check_self_contained(text: str, scripts: int = 0) -> None:
    """The page loads nothing, its ids are unique and used, it has both themes, and fits a phone."""
    page = Page(text)
    assert page.open == []
    assert page.tags.count("script") == scripts
    assert not LOADING & set(page.tags)
    links = [v for name, v in page.attributes if name in ("src", "href", "xlink:href", "action", "data")]
    assert links
    assert all(value.startswith("#") for value in links)
    assert not re.search(r"@import|url\((?!#)", text)
    assert re.findall(r"(?:https?:)?//[\w.]+", text.replace("http://www.w3.org/", "").replace("http://a.b", "")) == []
    assert "default-src 'none'" in text
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 0
    assert {value.removeprefix("#") for value in links} <= set(ids)
    assert ("name", "viewport") in page.attributes
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r'(fill|stroke|color)="', text)  # colours are the page's, which follow the theme
