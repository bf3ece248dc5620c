"""Statistics over scored turns."""
