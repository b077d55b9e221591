"""The index of the documentation lists every page, and so does the navigation of the site."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def pages():
    return {p.relative_to(DOCS).as_posix() for ending in ("md", "ipynb") for p in DOCS.rglob(f"*.{ending}")}


def test_the_index_lists_every_page():
    text = (DOCS / "index.md").read_text()
    listed = {target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)}
    assert pages() - listed == {"index.md"}


def test_the_navigation_lists_every_page():
    text = (DOCS.parent / "mkdocs.yml").read_text()
    listed = set(re.findall(r": ([\w/-]+\.(?:md|ipynb))$", text, re.MULTILINE))
    assert listed == pages()


def test_pictures_of_pages_are_there_and_small():
    shown = {p: re.findall(r"!\[[^]]*\]\(([^)]+)\)", p.read_text()) for p in DOCS.rglob("*.md")}
    sizes = {
        (p.parent / name).resolve(): (p.parent / name).stat().st_size for p, names in shown.items() for name in names
    }
    assert len(sizes) > 8
    assert not [path for path, size in sizes.items() if size > 100_000]
