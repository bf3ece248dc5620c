"""Makes what matplotlib writes small and fit for a page that holds many pictures."""

from __future__ import annotations

import re
from xml.etree import ElementTree as etree

_NAMESPACE = re.compile(r"^\{[^}]*\}")
_REFERENCE = re.compile(r"(?<=url\(#)[^)]+(?=\))")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_FONT = re.compile(r"font-family: [^;]*;? ?")
_SPACE = re.compile(r"\s*\n\s*|(?<=[MLCQz]) +| +(?=[MLCQz]\b)")


def slimmed(drawn: etree.Element, prefix: str) -> list[etree.Element]:
    """The elements of a drawing, without groups and ids that nothing refers to, fonts, and digits that no screen can show.

    Args:
        drawn: The root that matplotlib wrote.
        prefix: What ids begin with from now on.
    """
    for element in drawn.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        element.attrib = {_NAMESPACE.sub("", name): value for name, value in element.attrib.items()}
        element.tail = None
        if element.tag not in ("text", "tspan"):
            element.text = None
    used = {value for element in drawn.iter() for value in _references(element)}
    ids = {old: f"{prefix}{number}" for number, old in enumerate(sorted(used), start=1)}
    for element in drawn.iter():
        element.attrib = _attributes(element, ids)
    return [kept for child in drawn for kept in _kept(child)]


def _references(element: etree.Element) -> list[str]:
    linked = [element.attrib["href"][1:]] if element.attrib.get("href", "").startswith("#") else []
    return [*linked, *(found for value in element.attrib.values() for found in _REFERENCE.findall(value))]


def _attributes(element: etree.Element, ids: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, value in element.attrib.items():
        if name == "id":
            value = ids.get(value, "")
        elif name == "href":
            value = f"#{ids[value[1:]]}"
        elif "url(#" in value:
            value = _REFERENCE.sub(lambda match: ids[match[0]], value)
        else:
            value = _short(value)
        if value and not (name == "transform" and value.startswith("rotate(0 ")):
            found[name] = value
    return found


def _short(value: str) -> str:
    """Two decimals (a page shows no more), no line breaks, no fonts."""
    rounded = _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), _FONT.sub("", value))
    return _SPACE.sub("", rounded).replace("; ", ";").replace(": ", ":").replace("-0 ", "0 ").strip()


def _kept(element: etree.Element) -> list[etree.Element]:
    """The element, or what it holds where it is only a wrapper; nothing where it is empty."""
    children = [kept for child in element for kept in _kept(child)]
    if element.tag in ("style", "metadata") or (element.tag in ("g", "defs") and not children):
        return []
    if element.tag == "g" and not element.attrib:
        return children
    element[:] = children
    styles = {child.get("style") for child in children}
    if element.tag == "g" and len(children) > 1 and len(styles) == 1 and (style := styles.pop()):
        element.set("style", style)  # marks of one system share it
        for child in children:
            del child.attrib["style"]
    return [element]
