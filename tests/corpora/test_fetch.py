"""Downloads from a real server on this machine that breaks off, ignores ranges, lies and refuses."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from otoscope.corpora import SOURCES, Archive, Source, fetch, fetch_source, load
from otoscope.errors import CorpusError


class Server(ThreadingHTTPServer):
    """Serves one archive, misbehaving as its attributes say."""

    daemon_threads = True

    def __init__(self, body):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.breaks = []  # how many bytes to send before breaking off, one a request
        self.ranges = True
        self.status = None
        self.wrong_part = False
        self.length = True
        self.asked = []  # the Range header of each request

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/corpus.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        s = self.server
        s.asked.append(self.headers.get("Range"))
        if s.status:
            self.send_error(s.status)
            return
        start = int(s.asked[-1][6:-1]) if s.asked[-1] and s.ranges else 0
        if start and start >= len(s.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(s.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if s.wrong_part and start:
            start -= 7
            s.wrong_part = False
        rest = s.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(s.body) - 1}/{len(s.body)}")
        if s.length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: s.breaks.pop(0)] if s.breaks else rest)


def archive_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def body(few, samples):
    """A small LibriSpeech archive with real speech in it."""
    files = {}
    for number, u in enumerate(few[:4]):
        audio = io.BytesIO()
        soundfile.write(audio, samples[u.id], 16000, format="FLAC")
        utt = f"7-1-{number:04d}"
        files[f"LibriSpeech/train-clean-5/7/1/{utt}.flac"] = audio.getvalue()
        files.setdefault("LibriSpeech/train-clean-5/7/1/7-1.trans.txt", b"")
        files["LibriSpeech/train-clean-5/7/1/7-1.trans.txt"] += f"{utt} {u.text}\n".encode()
    return archive_of(files)


@pytest.fixture
def server(body):
    with Server(body) as s:
        thread = threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield s
        s.shutdown()
        thread.join()


def source(server, checksum="right"):
    if checksum == "right":
        checksum = "md5:" + hashlib.md5(server.body).hexdigest()
    return Source("a test corpus", 1, "CC BY 4.0", (Archive(server.url, checksum),))


def get(server, tmp_path, checksum="right", tries=3):
    return fetch_source(source(server, checksum), tmp_path / "corpus", tries=tries, wait=0.01)


def left(tmp_path):
    return sorted(p.name for p in tmp_path.iterdir())


def test_straight(server, tmp_path):
    ticks = []
    folder = fetch_source(source(server), tmp_path / "corpus", progress=lambda *tick: ticks.append(tick))
    assert ticks[-1] == ("corpus.tar.gz", len(server.body), len(server.body))
    assert len(load(folder)) == 4
    record = (folder / "SOURCE.txt").read_text()
    assert "CC BY 4.0" in record
    assert "(verified)" in record
    assert left(tmp_path) == ["corpus"]
    server.status = 500
    assert get(server, tmp_path) == folder  # what is there is not fetched again


def test_goes_on_where_it_broke_off(server, tmp_path):
    third = len(server.body) // 3
    server.breaks = [third, third]
    get(server, tmp_path)
    assert server.asked == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    assert len(load(tmp_path / "corpus")) == 4


def test_goes_on_in_the_next_call(server, tmp_path):
    server.breaks = [1000, 0, 0, 0]
    with pytest.raises(
        CorpusError, match=r"the connection broke off at 1000 of \d+ bytes \(1000 bytes so far are kept"
    ):
        get(server, tmp_path)
    assert left(tmp_path) == ["corpus.tar.gz.part"]
    get(server, tmp_path)
    assert server.asked[-1] == "bytes=1000-"
    assert left(tmp_path) == ["corpus"]


def test_progress_forgives_earlier_failures(server, tmp_path):
    server.breaks = [500] * 8  # more breaks than tries, but each brings something
    get(server, tmp_path, tries=2)
    assert len(server.asked) == 9


def test_a_server_that_ignores_ranges(server, tmp_path):
    server.ranges = False
    server.breaks = [1000]
    get(server, tmp_path)
    assert server.asked == [None, "bytes=1000-"]
    assert len(load(tmp_path / "corpus")) == 4


def test_a_server_that_sends_another_part(server, tmp_path):
    server.breaks = [1000]
    server.wrong_part = True
    get(server, tmp_path)
    assert server.asked == [None, "bytes=1000-", None]
    assert len(load(tmp_path / "corpus")) == 4


def test_a_server_that_does_not_say_the_length(server, tmp_path):
    server.length = False
    get(server, tmp_path)
    assert len(load(tmp_path / "corpus")) == 4


def test_everything_was_there_but_not_renamed(server, tmp_path):
    (tmp_path / "corpus.tar.gz.part").write_bytes(server.body)
    get(server, tmp_path)
    assert server.asked == [f"bytes={len(server.body)}-"]
    assert left(tmp_path) == ["corpus"]


def test_a_part_longer_than_the_file_starts_anew(server, tmp_path):
    (tmp_path / "corpus.tar.gz.part").write_bytes(server.body + b"more")
    get(server, tmp_path)
    assert server.asked[-1] is None
    assert len(load(tmp_path / "corpus")) == 4


def test_wrong_checksum(server, tmp_path):
    with pytest.raises(CorpusError, match=r"has the SHA256 \w{64}, expected 0{64}: it is damaged or has been changed"):
        get(server, tmp_path, "sha256:" + "0" * 64)
    assert left(tmp_path) == []


def test_a_part_of_another_file_is_found_by_the_checksum(server, tmp_path):
    (tmp_path / "corpus.tar.gz.part").write_bytes(b"x" * 1000)
    with pytest.raises(CorpusError, match="it is damaged or has been changed, and was removed"):
        get(server, tmp_path)
    assert len(load(get(server, tmp_path))) == 4


def test_no_checksum_is_said(server, tmp_path):
    folder = get(server, tmp_path, None)
    expected = hashlib.sha256(server.body).hexdigest()
    assert f"sha256:{expected} (as received: the publisher gives no checksum" in (folder / "SOURCE.txt").read_text()


def test_not_found_gives_up_at_once(server, tmp_path):
    server.status = 404
    with pytest.raises(CorpusError, match="the server answered 404 Not Found"):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_a_failing_server_is_tried_again(server, tmp_path):
    server.status = 503
    with pytest.raises(CorpusError, match="the server answered 503"):
        get(server, tmp_path)
    assert len(server.asked) == 3


def test_offline_says_what_to_do(server, tmp_path):
    with Server(b"") as gone:
        url = gone.url
    away = Source("a test corpus", 1, "none", (Archive(url, None),))
    with pytest.raises(CorpusError) as caught:
        fetch_source(away, tmp_path / "corpus", tries=2, wait=0.01)
    told = str(caught.value)
    assert told.startswith(f"{url} could not be downloaded: ")
    assert "Connection refused" in told
    assert f"put it at {tmp_path / 'corpus.tar.gz'}" in told
    # and doing that works
    (tmp_path / "corpus.tar.gz").write_bytes(server.body)
    assert len(load(fetch_source(away, tmp_path / "corpus"))) == 4


def test_not_an_archive(server, tmp_path):
    server.body = b"<html>Sorry, we moved.</html>"
    with pytest.raises(CorpusError, match="cannot be unpacked"):
        get(server, tmp_path)
    assert left(tmp_path) == ["corpus.tar.gz"]


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt"])
def test_an_archive_cannot_write_outside(server, tmp_path, name):
    server.body = archive_of({name: b"x"})
    inner = tmp_path / "in"
    if name.startswith("/"):  # made relative, as tar does
        fetch_source(source(server), inner / "corpus")
        assert (inner / "corpus" / "outside.txt").exists()
    else:
        with pytest.raises(CorpusError, match="cannot be unpacked"):
            fetch_source(source(server), inner / "corpus")
    assert left(tmp_path) == ["in"]


def test_several_archives_make_one_corpus(server, tmp_path, samples, few):
    audio = io.BytesIO()
    soundfile.write(audio, np.asarray(samples[few[0].id]), 16000, format="FLAC")
    folder = "LibriSpeech/dev-clean-2/8/2"
    more = archive_of({f"{folder}/8-2-0000.flac": audio.getvalue(), f"{folder}/8-2.trans.txt": b"8-2-0000 YES\n"})
    (tmp_path / "more.tar.gz").write_bytes(more)
    both = Source("two", 1, "none", (*source(server).archives, Archive("http://127.0.0.1:9/more.tar.gz", None)))
    corpus = load(fetch_source(both, tmp_path / "corpus"))
    assert {s: len(corpus.split(s)) for s in corpus.splits} == {"dev": 1, "train": 4}


def test_every_source_is_complete():
    assert list(SOURCES) == [
        "an4", "mini-librispeech", "librispeech-100", "librispeech-360", "librispeech-500",
        "librispeech-960",
        "dev-clean", "dev-other", "test-clean", "test-other",
    ]  # fmt: skip
    for s in SOURCES.values():
        assert s.licence
        assert s.megabytes > 0
        for a in s.archives:
            method, _, digest = a.checksum.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[method]
            assert a.url.startswith(("http://www.speech.cs.cmu.edu/", "https://www.openslr.org/resources/"))


def test_fetch_by_name(server, tmp_path, monkeypatch, cache):
    monkeypatch.setitem(SOURCES, "an4", source(server))
    assert fetch("an4", tmp_path) == tmp_path / "an4"
    assert fetch("an4") == cache / "corpora" / "an4"
    assert len(load("an4")) == 4
    with pytest.raises(CorpusError, match="There is no source named 'timit'; expected one of an4, mini-librispeech"):
        fetch("timit")
