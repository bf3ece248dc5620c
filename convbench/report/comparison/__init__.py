"""The comparison report: one page, one Markdown file, LaTeX tables and pictures, all from the same tables."""
