"""How addresses, sizes and lists of files are shown."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

_NAMING = frozenset(("id", "export", "download"))


def shown_url(url: str) -> str:
    """An address without what may be secret in it: user, password, fragment, and all of the query but what names the file."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that cannot be read"
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key in _NAMING])
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}{f'?{query}' if query else ''}"


def shown_size(count: int) -> str:
    """Bytes in the unit that a reader expects (decimal, as publishers and disks give them)."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
