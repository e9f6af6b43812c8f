"""Pages of the site that ``docs/`` does not hold: the README, the API reference, other files pages link to.

MkDocs calls the functions named ``on_…`` while it builds (``hooks`` in ``mkdocs.yml``). Nothing is imported:
the reference is read from the source text, so torch and Prefect need not be installed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PACKAGES = {"star_core": "star_core", "flows": "star_flows"}
"""Folder and the name it is installed by (``setup.py``), where the reference finds it."""
ALONGSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")
"""Pages outside ``docs/`` that the navigation names."""
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def modules() -> Iterator[tuple[str, str, str]]:
    """Path of each module from the root, its dotted name, and that of the package it stands in."""
    for folder, installed in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder).with_suffix("").parts
            package = [installed, *inside[:-1]]
            name = package if inside[-1] == "__init__" else [*package, inside[-1]]
            yield path.relative_to(ROOT).as_posix(), ".".join(name), ".".join(package)


def reference() -> dict[str, str]:
    """The text of a page for each package: the package itself, then its modules."""
    texts: dict[str, str] = {}
    for _, name, package in sorted(modules(), key=lambda module: module[1]):
        options = "    options:\n      heading_level: 1\n" if name == package else ""
        if options and "." in name:
            options += "      members: false\n"  # what it passes on is described where it is defined
        texts[package] = f"{texts.get(package, '')}::: {name}\n{options}\n"
    return {f"reference/{package}.md": text for package, text in sorted(texts.items())}


def address(path: str) -> str:
    """The page of a file of the project: its source path within the site, and an anchor for a module."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    for module, name, package in modules():
        if path == module:
            return f"reference/{package}.md#{name}"
        if module == f"{path}/__init__.py":
            return f"reference/{name}.md"
    if path == "README.md":
        return "index.md"
    return path if path.endswith(".md") else f"{path}.md"


def links(path: str, text: str) -> Iterator[tuple[str, str]]:
    """The links of a page to files of this project: as written, and from the root."""
    for _, link, _ in LINK.findall(text):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        if "://" not in link and not target.startswith("..") and (ROOT / target).exists():
            yield link, target


def shown(path: Path) -> str:
    """The text of a file; of a folder, the names of its files."""
    return "\n".join(sorted(file.name for file in path.iterdir())) if path.is_dir() else path.read_text()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Completes the navigation."""
    assert config.nav is not None
    packages = [{Path(uri).stem: uri} for uri in reference()]
    config.nav = [{"Overview": "index.md"}, *config.nav, {"API reference": packages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    for uri, text in reference().items():
        files.append(File.generated(config, uri, content=text))
    for path in ALONGSIDE:
        files.append(File.generated(config, address(path), abs_src_path=str(ROOT / path)))
    unread = [
        *ALONGSIDE,
        *(f"docs/{file.src_uri}" for file in files.documentation_pages() if not file.generated_by),
    ]
    while unread:
        page = unread.pop()
        for _, target in links(page, (ROOT / page).read_text()):
            uri = address(target).partition("#")[0]
            if files.get_file_from_path(uri) is None:
                text = shown(ROOT / target)
                if target.endswith(".md"):
                    unread.append(target)
                else:
                    text = f"# {target}\n\n````{Path(target).suffix[1:] or 'text'}\n{text}\n````\n"
                hidden = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, uri, content=text, inclusion=hidden))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the project into links between pages."""
    uri = page.file.src_uri
    path = "README.md" if uri == "index.md" else uri if (ROOT / uri).exists() else f"docs/{uri}"
    found = dict(links(path, markdown))

    def replaced(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        if link not in found:
            return match[0]
        target, _, anchor = address(found[link]).partition("#")
        relative = posixpath.relpath(target, posixpath.dirname(uri) or ".")
        return f"{before}{relative}#{anchor})" if anchor else f"{before}{relative}{after}"

    return LINK.sub(replaced, markdown)
