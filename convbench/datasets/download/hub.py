"""Files whose official place is the Hugging Face hub: taken from the hub's own cache, and fetched into it by the hub's own client."""

from __future__ import annotations

from pathlib import Path

from convbench.datasets.download.checks import difference, digests_of, doubt
from convbench.datasets.download.manifest import DownloadFile, HubFile
from convbench.datasets.download.places import Places
from convbench.datasets.download.record import FileRecord, record_of
from convbench.errors import DataError, ResourceError, storage_error


def hub_cache() -> Path:
    """The folder of the hub's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def from_hub(file: DownloadFile, hub: HubFile, places: Places, *, offline: bool) -> tuple[FileRecord, str | None]:
    """Links a file of the hub's cache into the dataset's folder; fetches it into that cache first where it may.

    Returns:
        Its record, and a note where a digest that is not the publisher's differs.

    Raises:
        ResourceError: The hub does not give it, or it is not in the cache and the network is forbidden.
        DataError: It is not what the manifest says.
    """
    link = places.file(file.name)
    cached = cached_file(hub)
    if cached is None and offline:
        raise ResourceError(
            f"{hub.filename} of {hub.repo} is not in the hub's cache, and --offline forbids fetching it; put a copy here: {link}"
        )
    cached = cached or _fetched(hub, link)
    digests = digests_of(cached, file)
    if wrong := difference(file, cached.stat().st_size, digests):
        raise DataError(cached, f"{hub.filename} of {hub.repo} at {hub.revision}: {wrong}; remove it and run the same command again")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # one that leads nowhere: the hub's cache was cleaned
        link.symlink_to(cached.absolute())
    except OSError as error:
        raise storage_error(error, link) or error from error
    return record_of(file, link, digests, file.source), doubt(file, digests)


def cached_file(hub: HubFile) -> Path | None:
    """The file in the hub's cache, found by its layout alone; asking the hub's client to look there may ask the network too."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub.repo, hub.filename, revision=hub.revision, repo_type="dataset")
    return Path(found) if isinstance(found, str) else None


def _fetched(hub: HubFile, place: Path) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(hub.repo, hub.filename, repo_type="dataset", revision=hub.revision))
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:  # its text is not shown: it may hold a signed address
        answers = (getattr(each, "response", None) for each in (error, error.__cause__))
        answer = next((each for each in answers if each is not None), None)  # some answers that are errors are also false
        reason = "the hub cannot be reached" if answer is None else f"the hub answers HTTP {answer.status_code}"
        advice = "; ask for access on its page, and log in to the hub" if answer is not None and answer.status_code in (401, 403) else ""
    except OSError as error:
        if storage := storage_error(error, hub_cache()):
            raise storage from error
        reason, advice = f"fetching failed ({type(error).__name__})", ""
    raise ResourceError(f"{hub.filename} of {hub.repo} at {hub.revision}: {reason}{advice}; or put a copy here: {place}") from None
