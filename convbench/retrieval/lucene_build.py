"""Building a Lucene index of a passage store, in bounded memory; what was committed is not done again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convbench.datasets.store import PassageStore
from convbench.errors import DataError, UsageError
from convbench.progress import progress_bar
from convbench.retrieval.lucene_folder import LuceneFolder
from convbench.retrieval.lucene_java import Java
from convbench.retrieval.lucene_words import LuceneWords
from convbench.views.passages import passage_text

FIELD = "text"
_READ = 2_000
_COMMIT = 500_000
"""Passages after which everything is on disk for good: at most so many are indexed again after a crash."""
_BUFFER = 0.25
"""Share of Java's memory that postings take before they are written; Lucene needs as much again while it writes and merges."""
_log = logging.getLogger(__name__)


def build_lucene(folder: LuceneFolder, store: PassageStore, words: LuceneWords, java: Java) -> None:
    """Makes ``folder`` hold the index of all passages, going on from the last commit; the folder must be locked.

    Passages go in one after another and only neighbouring segments are merged: so Lucene's number of a passage is its row in the store.

    Raises:
        UsageError: No passage holds a word.
        StorageError: The index cannot be written; the same call goes on at the last commit.
    """
    folder.begin()
    with java.errors(folder.path):
        done = _committed(folder, java)
        if done > len(store):
            raise DataError(folder.path, f"holds {done} passages, expected at most {len(store)}; delete the folder")
        with _writer(folder, words, java) as writer, progress_bar("lucene: index", len(store), done=done, unit="passage") as advance:
            field = java("org.apache.lucene.document.TextField")(FIELD, "", java("org.apache.lucene.document.Field$Store").NO)
            document = java("org.apache.lucene.document.Document")()
            document.add(field)
            for start in range(done, len(store), _READ):
                passages = store.texts(start, start + _READ)
                for text in words.prepare([passage_text(passage) for passage in passages]):
                    field.setStringValue(text)
                    writer.addDocument(document)
                advance(len(passages))
                if start // _COMMIT != (start + _READ) // _COMMIT:
                    writer.commit()
        with reader_of(folder, java) as reader:
            held, with_words = reader.numDocs(), reader.getDocCount(FIELD)
    if not with_words:
        folder.clear()
        raise UsageError("lucene: no passage of the collection holds a word, as the analyzer defines words")
    if held != len(store):
        raise DataError(folder.path, f"Lucene holds {held} passages, expected {len(store)}; delete the folder, and it is built again")
    folder.finish(len(store))


def _committed(folder: LuceneFolder, java: Java) -> int:
    """Passages that an unfinished build has committed; a damaged one is removed."""
    if not any(folder.index.glob("segments_*")):
        return 0
    try:
        with java.errors(folder.path), reader_of(folder, java) as reader:
            for leaf in reader.leaves():
                leaf.reader().checkIntegrity()  # Lucene's own checksums, over every byte
            return int(reader.numDocs())
    except DataError as error:
        _log.warning("%s: the index is built again", error)
    folder.clear()
    folder.begin()
    return 0


@contextmanager
def reader_of(folder: LuceneFolder, java: Java) -> Iterator[Any]:
    """An open reader of the last commit."""
    reader = open_reader(folder, java)
    try:
        yield reader
    finally:
        reader.close()


def open_reader(folder: LuceneFolder, java: Java) -> Any:
    """A reader of the last commit, to be closed; its files are memory-mapped."""
    return java("org.apache.lucene.index.DirectoryReader").open(_directory(folder, java))


@contextmanager
def _writer(folder: LuceneFolder, words: LuceneWords, java: Java) -> Iterator[Any]:
    """A writer that commits and finishes its merges when the block ends well, and else goes back to its last commit."""
    config = java("org.apache.lucene.index.IndexWriterConfig")(words.analyzer(java))
    config.setRAMBufferSizeMB(java.memory * _BUFFER)
    config.setMergePolicy(java("org.apache.lucene.index.LogByteSizeMergePolicy")())
    config.setCommitOnClose(True)
    writer = java("org.apache.lucene.index.IndexWriter")(_directory(folder, java), config)
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.rollback()
        raise


def _directory(folder: LuceneFolder, java: Java) -> Any:
    return java("org.apache.lucene.store.FSDirectory").open(java("java.nio.file.Paths").get(str(folder.index)))
