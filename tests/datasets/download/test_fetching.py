from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from download_cases import CONTENT, MODIFIED, OTHER, Waits, nothing_unfinished, sha256, wanted
from scripted_server import Answer, FileServer, file_server

from convbench.datasets.download.fetch import _certificates, fetch
from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.places import Places
from convbench.datasets.download.record import FileRecord
from convbench.datasets.download.waiting import Patience, retry_after
from convbench.errors import ResourceError

HALF = 150_000


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places.of("some", tmp_path)


def fetched(file: DownloadFile, places: Places, patience: Patience | None = None) -> FileRecord:
    record = fetch(file, places, patience or Waits().patience)
    assert places.file(file.name).read_bytes() == CONTENT
    assert record.digests["sha256"] == sha256(CONTENT)
    assert not places.part(file.name).exists()
    assert list(places.part(file.name).parent.iterdir()) == []
    return record


def refused(file: DownloadFile, places: Places, patience: Patience | None = None) -> str:
    with pytest.raises(ResourceError) as raised:
        fetch(file, places, patience or Waits().patience)
    assert nothing_unfinished(places)
    assert f"put a copy here: {places.file(file.name)}" in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("checked", [True, False])
def test_a_plain_download(server, places, checked):
    server.script["/f"] = [Answer(CONTENT)]
    record = fetched(wanted(f"{server.url}/f", checked=checked), places)
    assert (record.size, record.source) == (300_000, f"{server.url}/f")
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert server.ranges == [None]


class TestConnectionsThatBreak:
    def test_only_the_rest_is_asked_for(self, server, places):
        server.script["/f"] = [Answer(CONTENT, etag='"1"', cut=HALF), Answer(CONTENT, etag='"1"')]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert server.ranges == [None, f"bytes={HALF}-"]
        assert server.asked[1].headers["if-range"] == '"1"'
        assert server.given == len(CONTENT)

    def test_the_time_of_change_will_do_as_well(self, server, places):
        server.script["/f"] = [Answer(CONTENT, modified=MODIFIED, cut=HALF), Answer(CONTENT, modified=MODIFIED)]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert server.asked[1].headers["if-range"] == MODIFIED
        assert server.given == len(CONTENT)

    def test_without_validator_or_digest_it_begins_anew(self, server, places):
        server.script["/f"] = [Answer(CONTENT, cut=HALF), Answer(CONTENT)]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert server.ranges == [None, None]

    def test_a_weak_tag_is_no_validator(self, server, places):
        server.script["/f"] = [Answer(CONTENT, etag='W/"1"', cut=HALF), Answer(CONTENT, etag='W/"1"')]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert server.ranges == [None, None]

    def test_a_digest_is_enough_to_go_on(self, server, places):
        server.script["/f"] = [Answer(CONTENT, cut=HALF), Answer(CONTENT)]
        fetched(wanted(f"{server.url}/f"), places)
        assert server.given == len(CONTENT)

    def test_many_cuts_that_each_bring_something(self, server, places):
        server.script["/f"] = [*[Answer(CONTENT, etag='"1"', cut=20_000)] * 14, Answer(CONTENT, etag='"1"')]
        waits = Waits(attempts=2)
        fetched(wanted(f"{server.url}/f", checked=False), places, waits.patience)
        assert server.given == len(CONTENT)
        assert len(waits.waited) == 14
        assert max(waits.waited) <= 1.0  # every one is the first failure after new bytes

    def test_cuts_that_bring_nothing_end(self, server, places):
        server.script["/f"] = [Answer(CONTENT, cut=0)]
        waits = Waits(attempts=4)
        said = refused(wanted(f"{server.url}/f"), places, waits.patience)
        assert "the connection failed (RemoteProtocolError), 4 times in a row" in said
        assert len(server.asked) == 4
        assert len(waits.waited) == 3
        assert all(0.5 * 2**n <= each <= 2**n for n, each in enumerate(waits.waited))

    def test_nobody_listens(self, places):
        with file_server() as gone:
            url = f"{gone.url}/f"
        assert "the connection failed (ConnectError), 2 times in a row" in refused(wanted(url), places, Waits(attempts=2).patience)

    def test_no_such_host(self, places):
        said = refused(wanted("http://no-such-host.invalid/f"), places, Waits(attempts=2).patience)
        assert "the connection failed (no such host)" in said

    @pytest.mark.parametrize("after", [0, HALF])
    def test_a_server_that_hangs(self, server, places, after):
        server.script["/f"] = [Answer(CONTENT, etag='"1"', cut=after, hang=5), Answer(CONTENT, etag='"1"')]
        fetched(wanted(f"{server.url}/f"), places, Waits(read=0.3).patience)
        assert server.given == len(CONTENT)

    def test_a_server_that_always_hangs(self, server, places):
        server.script["/f"] = [Answer(CONTENT, cut=0, hang=5)]
        assert "no answer in time, 2 times in a row" in refused(wanted(f"{server.url}/f"), places, Waits(read=0.2, attempts=2).patience)

    def test_a_server_that_drips(self, server, places):
        """Every piece comes in time, and the whole would take for ever; what came is kept."""
        server.script["/f"] = [Answer(CONTENT, etag='"1"', pace=0.05), Answer(CONTENT, etag='"1"')]
        fetched(wanted(f"{server.url}/f", checked=False), places, Waits(read=0.5, slowest=1_000_000).patience)
        assert server.ranges[0] is None
        assert 4096 <= int(server.ranges[1].removeprefix("bytes=").removesuffix("-")) < 200_000

    def test_a_server_that_always_drips(self, server, places):
        server.script["/f"] = [Answer(CONTENT, pace=0.05, ranges=False)]
        said = refused(wanted(f"{server.url}/f", checked=False), places, Waits(read=0.3, slowest=1_000_000, attempts=1).patience)
        assert "it gives less than 1,000,000 bytes a second" in said

    def test_a_server_whose_head_drips(self, server, places):
        """The second address answers over the connection that the first one answered over."""
        server.script["/f"] = [Answer(CONTENT, head_pace=0.02)]
        server.script["/mirror"] = [Answer(CONTENT)]
        began = time.monotonic()
        fetched(wanted(f"{server.url}/f", f"{server.url}/mirror"), places, Waits(read=0.3, attempts=2).patience)
        assert time.monotonic() - began < 3
        assert [each.path for each in server.asked] == ["/f", "/f", "/mirror"]

    def test_a_head_that_drips_over_a_connection_that_was_used_before(self, server, places):
        server.script["/f"] = [Answer(status=503), Answer(CONTENT, head_pace=0.02)]
        assert "no answer in time, 2 times in a row" in refused(wanted(f"{server.url}/f"), places, Waits(read=0.3, attempts=2).patience)

    def test_a_head_that_takes_its_time_and_is_whole_in_time(self, server, places):
        server.script["/f"] = [Answer(CONTENT, head_pace=0.001)]
        fetched(wanted(f"{server.url}/f"), places, Waits(read=5.0, attempts=1).patience)

    @pytest.mark.parametrize("way", [{"hang": 5.0, "cut": 10}, {"pace": 0.05}])
    def test_the_body_of_a_redirect_is_not_waited_for(self, server, places, way):
        head = {"Location": "/other"}
        server.script["/f"] = [Answer(CONTENT * 10, headers=head, redirect=True, **way)]
        server.script["/other"] = [Answer(CONTENT)]
        fetched(wanted(f"{server.url}/f"), places, Waits(read=0.3, attempts=1).patience)


class TestRanges:
    def test_a_server_that_ignores_ranges(self, server, places):
        server.script["/f"] = [Answer(CONTENT, etag='"1"', cut=HALF), Answer(CONTENT, etag='"1"', ranges=False)]
        fetched(wanted(f"{server.url}/f"), places)
        assert [each.status for each in server.asked] == [200, 200]
        assert server.ranges == [None, f"bytes={HALF}-"]

    def test_a_server_that_ignores_ranges_and_always_cuts(self, server, places):
        server.script["/f"] = [Answer(CONTENT, etag='"1"', ranges=False, cut=HALF)]
        refused(wanted(f"{server.url}/f"), places, Waits(attempts=3).patience)
        assert len(server.asked) == 3  # each gave the first half again

    @pytest.mark.parametrize("checked", [True, False])
    @pytest.mark.parametrize("blind", [True, False])
    def test_the_file_changes_between_two_parts(self, server, places, blind, checked):
        """Whether the server heeds ``If-Range`` or not, no bytes of two files are put together."""
        server.script["/f"] = [Answer(OTHER, etag='"old"', cut=HALF), *[Answer(CONTENT, etag='"new"', blind=blind)] * 3]
        fetched(wanted(f"{server.url}/f", checked=checked), places)

    def test_the_file_changes_its_length_and_the_server_has_no_tags(self, server, places):
        server.script["/f"] = [Answer(OTHER + b"more", modified=MODIFIED, cut=HALF), *[Answer(CONTENT, modified=MODIFIED, blind=True)] * 3]
        fetched(wanted(f"{server.url}/f", checked=False), places)

    def test_the_beginning_is_of_another_file_and_only_the_digest_shows_it(self, server, places):
        server.script["/f"] = [Answer(CONTENT)]
        other, own = Places(places.root / "one"), places
        server.script["/g"] = [Answer(OTHER, cut=HALF)]
        with pytest.raises(ResourceError):
            fetch(wanted(f"{server.url}/g"), own, Waits(attempts=1).patience)
        assert own.part("file.bin").read_bytes() == OTHER[:HALF]
        fetched(wanted(f"{server.url}/f"), own)
        assert server.ranges == [None, f"bytes={HALF}-", None]
        assert not other.root.exists()

    def test_another_range_than_was_asked_for(self, server, places):
        server.script["/f"] = [Answer(CONTENT, etag='"1"', cut=HALF), Answer(CONTENT, etag='"1"', shift=10), Answer(CONTENT)]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert server.ranges[-1] is None

    def test_nothing_after_the_end_means_that_all_is_there(self, server, places):
        """The server promised more than there is; asked for the rest, it says that there is none."""
        server.script["/f"] = [Answer(CONTENT, etag='"1"', length=400_000), Answer(CONTENT, etag='"1"')]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert [each.status for each in server.asked] == [200, 416]

    def test_nothing_after_the_end_of_a_file_that_has_become_shorter(self, server, places):
        server.script["/f"] = [Answer(CONTENT + OTHER, etag='"1"', cut=400_000), *[Answer(CONTENT, etag='"1"', blind=True)] * 2]
        fetched(wanted(f"{server.url}/f", checked=False), places)
        assert [each.status for each in server.asked] == [200, 416, 200]


class TestWhatServersSay:
    def test_busy_and_then_not(self, server, places):
        server.script["/f"] = [Answer(status=503, headers={"Retry-After": "7"}), Answer(status=500), Answer(CONTENT)]
        waits = Waits()
        fetched(wanted(f"{server.url}/f"), places, waits.patience)
        assert waits.waited[0] == 7.0
        assert 1.0 <= waits.waited[1] <= 2.0

    def test_busy_until_a_date(self, server, places):
        moment = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)
        server.script["/f"] = [Answer(status=429, headers={"Retry-After": moment}), Answer(CONTENT)]
        waits = Waits()
        fetched(wanted(f"{server.url}/f"), places, waits.patience)
        assert 90 < waits.waited[0] <= 100

    def test_busy_for_too_long(self, server, places):
        server.script["/f"] = [Answer(status=503, headers={"Retry-After": "4000"})]
        assert "HTTP 503: it asks to come back in 4,000 seconds" in refused(wanted(f"{server.url}/f"), places)
        assert len(server.asked) == 1

    @pytest.mark.parametrize("text", [None, "soon", "-3", "1e9", "", "Thu, 99 Foo 2020"])
    def test_a_wait_that_cannot_be_read(self, text):
        assert retry_after(text) is None

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_not_there_is_not_asked_again(self, server, places, status):
        server.script["/f"] = [Answer(status=status)]
        assert f"{server.url}/f: HTTP {status}; put a copy here" in refused(wanted(f"{server.url}/f"), places)
        assert len(server.asked) == 1

    def test_a_mirror_in_its_place(self, server, places):
        server.script["/mirror"] = [Answer(CONTENT)]
        record = fetched(wanted(f"{server.url}/gone", f"{server.url}/mirror"), places)
        assert record.source == f"{server.url}/mirror"

    def test_a_mirror_goes_on_with_a_checked_file(self, server, places):
        server.script["/f"] = [Answer(CONTENT, etag='"1"', cut=HALF), Answer(status=404)]
        server.script["/mirror"] = [Answer(CONTENT, etag='"other"')]
        fetched(wanted(f"{server.url}/f", f"{server.url}/mirror"), places)
        assert server.given == len(CONTENT)
        assert "if-range" not in server.asked[-1].headers

    def test_a_mirror_does_not_go_on_with_an_unchecked_one(self, server, places):
        server.script["/f"] = [Answer(OTHER, etag='"1"', cut=HALF), Answer(status=404)]
        server.script["/mirror"] = [Answer(CONTENT, etag='"1"')]
        fetched(wanted(f"{server.url}/f", f"{server.url}/mirror", checked=False), places)
        assert server.ranges[-1] is None

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_redirects(self, server, places, status):
        server.script["/f"] = [Answer(status=status, headers={"Location": "/other?signature=s3cret"})]
        server.script["/other"] = [Answer(CONTENT)]
        record = fetched(wanted(f"{server.url}/f"), places)
        assert "s3cret" not in json.dumps(record.digests | {"source": record.source})

    def test_redirects_in_a_ring(self, server, places):
        server.script["/f"] = [Answer(status=302, headers={"Location": "/f"})]
        assert "no usable address (more than 20 redirects)" in refused(wanted(f"{server.url}/f"), places)

    def test_a_redirect_to_something_that_is_no_web_address(self, server, places):
        server.script["/f"] = [Answer(status=302, headers={"Location": "file:///etc/passwd"})]
        assert "no usable address" in refused(wanted(f"{server.url}/f"), places)

    def test_a_web_page_in_place_of_the_file(self, server, places):
        server.script["/f"] = [Answer(b"<html>virus scan</html>", headers={"Content-Type": "text/html; charset=utf-8"})]
        assert "it gives a web page" in refused(wanted(f"{server.url}/f", checked=False), places)

    def test_a_coding_that_was_not_asked_for(self, server, places):
        server.script["/f"] = [Answer(CONTENT, headers={"Content-Encoding": "br"})]
        assert "in the coding 'br'" in refused(wanted(f"{server.url}/f", checked=False), places)


class TestWrongFiles:
    def test_wrong_bytes(self, server, places):
        server.script["/f"] = [Answer(OTHER)]
        said = refused(wanted(f"{server.url}/f"), places)
        assert f"it gives another file: its sha256 is {sha256(OTHER)}, expected {sha256(CONTENT)}" in said
        assert len(server.asked) == 1
        assert not places.part("file.bin").exists()

    def test_wrong_bytes_and_a_mirror_with_the_right_ones(self, server, places):
        server.script |= {"/f": [Answer(OTHER)], "/mirror": [Answer(CONTENT)]}
        fetched(wanted(f"{server.url}/f", f"{server.url}/mirror"), places)

    @pytest.mark.parametrize("kind", ["md5", "git_blob"])
    def test_the_other_digests(self, server, places, kind):
        def digest(content: bytes) -> str:
            return hashlib.md5(content).hexdigest() if kind == "md5" else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

        server.script |= {"/f": [Answer(OTHER)], "/mirror": [Answer(CONTENT, cut=HALF), Answer(CONTENT)]}
        urls = [f"{server.url}/f", f"{server.url}/mirror"]
        file = DownloadFile.model_validate({"name": "file.bin", "part": "turns", "urls": urls, kind: digest(CONTENT)})
        assert fetched(file, places).digests[kind] == digest(CONTENT)

    def test_it_announces_another_length(self, server, places):
        server.script["/f"] = [Answer(CONTENT[:-5])]
        assert "it announces 299,995 bytes, expected 300,000" in refused(wanted(f"{server.url}/f"), places)
        assert server.given < 300_000

    def test_it_announces_less_than_there_is(self, server, places):
        server.script["/f"] = [Answer(CONTENT, length=1000)]
        assert "it announces 1,000 bytes, expected 300,000" in refused(wanted(f"{server.url}/f"), places)

    def test_it_announces_less_than_there_is_and_only_the_digest_is_known(self, server, places):
        server.script["/f"] = [Answer(CONTENT, length=1000)]
        assert "its sha256 is" in refused(wanted(f"{server.url}/f", size=None), places)

    def test_it_announces_more_than_there_is(self, server, places):
        server.script["/f"] = [Answer(CONTENT, length=400_000)]
        assert "it announces 400,000 bytes" in refused(wanted(f"{server.url}/f"), places)

    def test_it_gives_more_than_is_expected_and_announces_nothing(self, server, places):
        server.script["/f"] = [Answer(CONTENT * 20, length=-1, pace=0.001)]
        assert "it gives more than the 300,000 bytes that were expected" in refused(wanted(f"{server.url}/f"), places)
        assert not places.part("file.bin").exists()

    def test_no_length_at_all_is_trusted_only_where_the_end_can_be_told(self, server, places):
        server.script["/f"] = [Answer(CONTENT, length=-1)]
        assert "it does not say how long the file is" in refused(wanted(f"{server.url}/f", checked=False), places)
        fetched(wanted(f"{server.url}/f"), places)

    def test_no_length_and_cut(self, server, places):
        server.script["/f"] = [Answer(CONTENT, length=-1, cut=HALF), Answer(CONTENT)]
        fetched(wanted(f"{server.url}/f"), places)
        assert server.given == len(CONTENT)

    def test_a_digest_that_others_stated_is_only_a_note(self, server, places, caplog):
        server.script["/f"] = [Answer(CONTENT)]
        fetched(wanted(f"{server.url}/f", unconfirmed_sha256="0" * 64), places)
        assert f"file.bin: its sha256 is {sha256(CONTENT)}, not the {'0' * 64} that others stated" in caplog.text


class TestCertificates:
    @pytest.fixture
    def certificate(self, tmp_path) -> Path:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl here to make a certificate with")
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, *subject]
        subprocess.run(command, check=True, capture_output=True)
        cert.write_bytes(cert.read_bytes() + key.read_bytes())
        return cert

    def test_one_that_nobody_vouches_for(self, certificate, places):
        with file_server(certificate) as server:
            server.script["/f"] = [Answer(CONTENT)]
            assert "its certificate is not to be trusted (self-signed certificate)" in refused(wanted(f"{server.url}/f"), places)
            assert server.asked == []

    def test_a_redirect_away_from_https(self, certificate, server, places, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        _certificates.cache_clear()
        server.script["/f"] = [Answer(CONTENT)]
        with file_server(certificate) as trusted:
            trusted.script |= {"/f": [Answer(CONTENT)], "/away": [Answer(status=302, headers={"Location": f"{server.url}/f"})]}
            assert "it leads to an address without https" in refused(wanted(f"{trusted.url}/away"), places)
            fetched(wanted(f"{trusted.url}/f"), places)
        _certificates.cache_clear()

    @pytest.mark.slow
    def test_a_head_that_drips_under_tls(self, certificate, places, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        _certificates.cache_clear()
        with file_server(certificate) as server:
            server.script["/f"] = [Answer(CONTENT, head_pace=0.02)]
            began = time.monotonic()
            assert "no answer in time" in refused(wanted(f"{server.url}/f"), places, Waits(read=0.4, attempts=1).patience)
            assert time.monotonic() - began < 3
        _certificates.cache_clear()


class TestSecrets:
    def test_what_is_secret_in_an_address_is_neither_shown_nor_written(self, server, places, caplog):
        secret = server.url.replace("http://", "http://user:passw0rd@") + "/f?token=t0ken#fr4gment"
        server.script["/f"] = [Answer(CONTENT, etag='"1"', cut=HALF), Answer(status=404)]
        caplog.set_level("INFO")
        said = refused(wanted(secret), places)
        assert server.asked[0].headers["authorization"].startswith("Basic ")
        written = b"".join(path.read_bytes() for path in places.root.rglob("*.json"))
        assert b"source" in written
        server.script["/f"] = [Answer(CONTENT, etag='"1"')]
        record = fetched(wanted(secret), places)
        ours = " ".join(each.getMessage() for each in caplog.records if each.name.startswith("convbench"))
        for word in ("passw0rd", "t0ken", "user", "fr4gment"):
            assert word not in said + ours + written.decode() + record.source
