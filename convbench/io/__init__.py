"""Files: JSON lines, TREC runs and qrels, joint run files, atomic writes, digests."""
