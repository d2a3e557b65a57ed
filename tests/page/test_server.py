"""The addresses of the page, over real sockets."""

from __future__ import annotations

import json
import signal
import zlib
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from revseg.labels.masks import read_mask

HEIGHT, WIDTH = 144, 256


def labels() -> bytes:
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    found[40:90, 60:140] = 1
    return found.tobytes()


def refused(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(HTTPError) as found:
        call()
    return found.value.code, found.value.read().decode()


@pytest.mark.slow
def test_addresses(serve: Callable) -> None:
    served = serve()
    facts = json.load(served.ask("facts"))
    assert (facts["video"], facts["height"], facts["width"]) == ("clip.mp4", HEIGHT, WIDTH)
    page = served.ask("")
    assert b"revseg-label" in page.read()
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert served.ask("frames/3").read()[:2] == b"\xff\xd8"
    assert refused(lambda: served.ask("frames/20"))[0] == 404
    assert refused(lambda: served.ask("labels/3"))[0] == 404
    assert refused(lambda: served.ask("masks/3"))[0] == 404
    # Labels are written as they come, under the revision that was seen.
    packed = zlib.compress(labels())
    assert json.load(served.ask("labels/3", "PUT", packed)) == 1
    assert refused(lambda: served.ask("labels/3", "PUT", packed))[0] == 409
    assert json.load(served.ask("labels/3", "PUT", packed, **{"If-Match": "1"})) == 2
    answer = served.ask("labels/3")
    assert (zlib.decompress(answer.read()), answer.headers["ETag"]) == (labels(), "2")
    written = read_mask(served.folder / "labels" / "clip" / "00003.png", "davis2017", ids=True)
    assert written.tobytes() == labels()
    assert len(served.ask("snap/3?object=1", "POST", packed).read()) > 0
    for body in (b"", b"nothing", zlib.compress(labels()[:-1]), zlib.compress(bytes(1 << 24))):
        assert refused(lambda body=body: served.ask("labels/4", "PUT", body))[0] == 400
    assert refused(lambda: served.ask("labels/4", "PUT", bytes(140_000)))[0] == 413
    assert refused(lambda: served.ask("objects", "PUT", b'[{"id": 0}]'))[0] == 400
    assert json.load(served.ask("labels/3", "DELETE", **{"If-Match": "2"})) == 0
    assert refused(lambda: served.ask("train", "POST")) == (400, "no frame has a label of an object yet: paint one first")
    # Nobody comes in without the token, from another machine's name, or beside the folder of the page's own files.
    stem = served.address.rsplit("/", 2)[0]
    for path in ("/", "/facts", "/wrong/facts", "/wrong/frames/0"):
        assert refused(lambda path=path: urlopen(stem + path))[0] == 404
    elsewhere = Request(served.address + "facts", headers={"Host": "evil.example"})
    assert refused(lambda: urlopen(elsewhere))[0] == 400
    for path in ("static/../app.py", "static/%2e%2e/app.py", "static//etc/passwd"):
        assert refused(lambda path=path: served.ask(path))[0] == 404
    # Ctrl-C is how it ends.
    served.process.send_signal(signal.SIGINT)
    out, error = served.process.communicate(timeout=30)
    assert (served.process.returncode, error) == (0, "")
    assert "labels are in labels/clip; the same command goes on with them" in out


@pytest.mark.slow
def test_a_second_page_of_the_same_labels_is_refused(serve: Callable) -> None:
    serve()
    with pytest.raises(RuntimeError, match="labels/clip is in use by process .*revseg-label"):
        serve()
