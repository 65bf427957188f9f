"""Every relative link in Markdown leads somewhere: to a file, and to a heading of it where one is named."""

import re
from pathlib import Path

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)


def anchors(text: str) -> set[str]:
    """Return the names that a forge gives to the headings of a Markdown text."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a Markdown page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    broken = []
    for groups in LINK.findall(CODE.sub("", text)):
        link = groups[0] or groups[1]
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        found = target.exists()
        if found and anchor and target.suffix == ".md":
            found = anchor in anchors(target.read_text(encoding="utf-8"))
        if not found:
            broken.append(link)
    return broken


def test_links_of_a_generated_project_resolve(project):
    pages = sorted(project.path.rglob("*.md"))
    assert not {page.name: broken for page in pages if (broken := broken_links(page))}


def test_links_of_the_template_resolve(root: Path):
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("terraform/**/*.md")]
    assert pages
    assert not {page.name: broken for page in pages if (broken := broken_links(page))}


def test_a_broken_link_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    links = "[a](#one-thing) [b](other.md) `[c](code.md)` ![d](p.png) [e](#two) [f](page.md#one-thing)"
    page.write_text(f"# One thing\n{links}\n", encoding="utf-8")
    assert broken_links(page) == ["other.md", "p.png", "#two"]
