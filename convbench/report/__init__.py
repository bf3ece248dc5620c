"""Reports: what runs achieved, as one HTML file and one Markdown file."""
