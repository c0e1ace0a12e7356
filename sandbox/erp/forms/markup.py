"""XML as the two importers of it read it: no document type, one element where one belongs."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from sandbox.erp.entries import Unreadable


def parse(content: bytes, root: str) -> Xml.Element:
    """The root element. Raises Unreadable."""
    if b"<!" in content:
        raise Unreadable("it has a document type, a comment or raw characters")
    try:
        found = Xml.fromstring(content)
    except Xml.ParseError as wrong:
        raise Unreadable(f"it is no XML: {wrong}") from wrong
    if found.tag != root:
        raise Unreadable(f"it is {found.tag}, not {root}")
    return found


def only(element: Xml.Element, tag: str) -> Xml.Element:
    """The one child of this name. Raises Unreadable."""
    found = element.findall(tag)
    if len(found) != 1:
        raise Unreadable(f"{element.tag} holds {len(found)} {tag}, not 1")
    return found[0]


def text(element: Xml.Element, tag: str) -> str:
    """The text of the one child of this name, which may be empty. Raises Unreadable."""
    return only(element, tag).text or ""
