"""Markdown as a real renderer shows it: what is active in it, and whether its tables hold together."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

#: What a plan may be made of; everything else would be somebody else's markup.
_TAGS = {
    "h3", "p", "strong", "em", "code", "pre", "ul", "li", "blockquote", "details", "summary",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
_QUIET = {"code", "pre"}  # nobody is mentioned in here, and no issue referred to


class Rendered(HTMLParser):
    """The elements of a page, the text outside of code, and the cells of each row of each table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.prose = ""
        self.code = ""
        self.comments: list[str] = []
        self.rows: list[int] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if _QUIET & set(self.open):
            self.code += data
        else:
            self.prose += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def rendered(markdown: str) -> Rendered:
    """Render as GitHub does: HTML allowed, tables, strikethrough."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Rendered(renderer.render(markdown))


def check_markdown(markdown: str) -> Rendered:
    """Fail on anything active that came from names or values, and on tables whose rows differ in length."""
    page = rendered(markdown)
    assert page.open == []
    assert page.tags <= _TAGS, page.tags - _TAGS
    assert page.attributes <= {"class", "style"}, page.attributes
    assert set(page.rows) <= {6}, page.rows
    assert len(page.comments) == 1
    assert not re.search(r"@\w|#\d|https?:|www\.|!\[|\]\(", page.prose), page.prose
    assert all(c.isprintable() or c == "\n" for c in markdown)
    return page
