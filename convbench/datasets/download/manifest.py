"""The manifest ``downloads.yaml``: what a dataset's official files are, where they come from, under which terms, and how to check them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from convbench.config import Config, load_config
from convbench.datasets.download.shown import shown_url
from convbench.errors import UsageError
from convbench.registry import did_you_mean

MANIFEST = Path(__file__).parents[1] / "downloads.yaml"
"""The manifest that ships with convbench."""

Tier = Literal["mini", "sample", "full"]
Part = Literal["turns", "judgements", "corpus"]
ArchiveFormat = Literal["zip", "tar.gz", "gz"]


def _confined(path: str) -> str:
    """A relative path that stays below the dataset's folder and is not hidden there: hidden folders hold the state of downloads."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or "\0" in path or any(part == ".." or part.startswith(".") for part in parts):
        raise ValueError("expected a relative path without '..', backslashes or hidden parts")
    return path


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an http(s) address")
    return url


ConfinedPath = Annotated[str, AfterValidator(_confined)]
Address = Annotated[str, AfterValidator(_address)]


class Licence(Config):
    """Terms of a part of the data.

    Attributes:
        name: The licence, or what stands in for one.
        url: Where its text, or the statement of it, is.
        covers: What it is about.
        terms: What it asks for, in a sentence; the text behind ``url`` decides.
    """

    name: str
    url: Address
    covers: str
    terms: str


class HubFile(Config):
    """A file of a dataset repository on the Hugging Face hub.

    Attributes:
        repo: ``owner/name``.
        filename: Path inside the repository.
        revision: The commit; a full hash is read from the hub's cache without asking the hub.
    """

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    filename: ConfinedPath
    revision: str


class Unpack(Config):
    """How an archive is unpacked.

    Attributes:
        format: Its format.
        into: Folder (``gz``: file) that its content goes to, below the dataset's folder.
        members: Which members are taken, as patterns of whole paths (``*`` may stand for several folders).
        about: Roughly what it gives in bytes, for the check of disk space before anything is fetched.
        most_members: An archive with more members is refused.
        most_bytes: One that gives more is refused; without it the bounds of every gzip file hold (``convbench.io.bounds``).
    """

    format: ArchiveFormat
    into: ConfinedPath
    members: list[str] = Field(default=["*"], min_length=1)
    about: int | None = Field(default=None, ge=1)
    most_members: int = Field(default=100_000, ge=1)
    most_bytes: int | None = Field(default=None, ge=1)


class DownloadFile(Config):
    """One file to get.

    Attributes:
        name: Where it goes, below the dataset's folder.
        part: What it is for.
        urls: Its address, then its mirrors: other places of the same bytes.
        hub: Instead of addresses, its place on the hub.
        size: Its exact size in bytes, where that is published; else ``about``.
        about: Roughly how large it is, for the check of disk space alone.
        sha256: Digest, where one is published, or known from the bytes of the pinned commit.
        md5: The same.
        git_blob: The same: git's id of the content.
        unconfirmed_sha256: A digest that somebody else stated for a file of this name: a difference is reported, not refused.
        unchecked: Why there is no digest to check against; asked for where there is none.
        unpack: What to do with an archive; without it the file is used as it is.
    """

    name: ConfinedPath
    part: Part
    urls: list[Address] = []  # noqa: RUF012 - pydantic copies defaults
    hub: HubFile | None = None
    size: int | None = Field(default=None, ge=1)
    about: int | None = Field(default=None, ge=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    git_blob: str | None = Field(default=None, pattern="^[0-9a-f]{40}$")
    unconfirmed_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    unchecked: str | None = None
    unpack: Unpack | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.urls) == (self.hub is not None):
            raise ValueError("expected either urls or hub")
        if bool(self.digests) == (self.unchecked is not None):
            raise ValueError("expected a digest (sha256, md5, git_blob), or under 'unchecked' the reason why there is none")
        if self.hub is not None and self.unpack is not None:
            raise ValueError("a file of the hub is used as it is: leave 'unpack' out")
        return self

    @property
    def digests(self) -> dict[str, str]:
        """Kind -> the digest that the file must have."""
        known = {"sha256": self.sha256, "md5": self.md5, "git_blob": self.git_blob}
        return {kind: value for kind, value in known.items() if value is not None}

    @property
    def likely_size(self) -> int:
        """Its size as far as it is known; 0 where it is not."""
        return self.size or self.about or 0

    @property
    def source(self) -> str:
        """Where it comes from, for people to read."""
        if self.hub is not None:
            return f"https://huggingface.co/datasets/{self.hub.repo}/blob/{self.hub.revision}/{self.hub.filename}"
        return shown_url(self.urls[0])


class TierFiles(Config):
    """The files of a tier.

    Attributes:
        files: What is fetched.
        notes: What the user should know, above all what cannot be fetched.
    """

    files: list[DownloadFile] = Field(min_length=1)
    notes: list[str] = []  # noqa: RUF012 - pydantic copies defaults

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [place for file in self.files for place in (file.name, *([file.unpack.into] if file.unpack else []))]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two files go to {', '.join(twice)}")
        return self


class DatasetDownloads(Config):
    """What there is to get of a dataset.

    Attributes:
        licences: Terms; accepted together, once.
        citation: How to cite what is fetched, in a line; the card has the BibTeX.
        tiers: Tier -> its files. ``mini`` ships with convbench and ``sample`` is nowhere to be fetched, so neither is here.
    """

    licences: list[Licence] = Field(min_length=1)
    citation: str = Field(min_length=1)
    tiers: dict[Literal["full"], TierFiles]


class Downloads(Config):
    """The whole manifest: dataset -> what there is to get."""

    datasets: dict[str, DatasetDownloads]

    def of(self, dataset: str) -> DatasetDownloads:
        """The entry of a dataset.

        Raises:
            UsageError: There is none.
        """
        if dataset not in self.datasets:
            known = ", ".join(sorted(self.datasets))
            hint = did_you_mean(dataset, self.datasets)
            raise UsageError(f"nothing is known to fetch for {dataset!r}: give its files with --data DIR.{hint} Known: {known}")
        return self.datasets[dataset]


def load_manifest(path: Path | None = None) -> Downloads:
    """Reads the manifest, or one of the user's own in the same format.

    Raises:
        DataError: Not such a file; file, line and key are named.
    """
    return load_config(Downloads, path or MANIFEST)
