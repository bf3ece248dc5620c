"""Finding passages: canonical rankings, BM25, dense retrieval."""
