"""The page's addresses, all below a token that only who was told it knows.

    GET    /TOKEN/                    the page; /TOKEN/static/... its parts
    GET    /TOKEN/facts               what does not change
    GET    /TOKEN/events              the state, again whenever it changes (server-sent events)
    GET    /TOKEN/frames/7            a frame, JPEG
    GET    /TOKEN/sheets/0            thumbnails of 64 frames, JPEG
    GET    /TOKEN/expected            J expected of each frame
    GET    /TOKEN/labels/7            labels (H, W), bytes, with their revision in ETag; PUT, DELETE with If-Match
    GET    /TOKEN/masks/7             the same of the last prediction
    POST   /TOKEN/snap/7?object=1     labels with one object cut along edges
    PUT    /TOKEN/objects             names and colours
    POST   /TOKEN/train, /TOKEN/stop

Labels are sent compressed (zlib). Answers 409 where labels were changed in another window, and 400 with a sentence
for other mistakes.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import zlib
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from revseg.labels.masks import Labels
from revseg.page.drawing import Changed
from revseg.page.session import Session

STATIC = Path(__file__).parent / "static"
HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""A page elsewhere whose name leads here is refused."""
POLICY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
KEPT = {"Cache-Control": "private, max-age=3600"}
EVERY = 0.2
"""Seconds between two looks whether the state has changed."""
ALIVE = 10.0
"""Seconds after which a line is sent in any case: a browser that is gone is noticed."""


def application(session: Session, token: str) -> Starlette:
    """Returns the server's application."""
    routes = [
        Route("/", lambda request: FileResponse(STATIC / "index.html")),
        Route("/facts", lambda request: JSONResponse(session.facts())),
        Route("/events", lambda request: StreamingResponse(_events(session, request), media_type="text/event-stream")),
        Route("/expected", lambda request: JSONResponse(session.expected())),
        Route("/frames/{number:int}", _sentences(lambda request: _picture(session.film.picture, request))),
        Route("/sheets/{number:int}", _sentences(lambda request: _picture(session.film.sheet, request, kept={}))),
        Route("/labels/{number:int}", _sentences(lambda request: _labels(session, request)), methods=["GET"]),
        Route("/labels/{number:int}", _with_body(session, _write), methods=["PUT", "DELETE"]),
        Route("/masks/{number:int}", _sentences(lambda request: _masks(session, request))),
        Route("/snap/{number:int}", _with_body(session, _snap), methods=["POST"]),
        Route("/objects", _with_body(session, _name), methods=["PUT"]),
        Route("/train", _sentences(lambda request: _changed(session, session.start)), methods=["POST"]),
        Route("/stop", _sentences(lambda request: _changed(session, session.rounds.stop)), methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    inside = Starlette(routes=routes)
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    return Starlette(routes=[Mount("/{token}", _Guard(inside, token))], middleware=[hosts])


class _Guard:
    """Lets nobody in without the token, and adds the headers that keep the page to itself."""

    def __init__(self, inside: Starlette, token: str) -> None:
        self.inside, self.token = inside, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = scope.get("path_params", {}).get("token", "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = ((name.lower().encode(), value.encode()) for name, value in POLICY.items())
                message["headers"] = [*message["headers"], *((name, value) for name, value in added if name not in own)]
            await send(message)

        await self.inside(scope, receive, answer)


def _sentences(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """An address whose mistakes are told in a sentence. Starlette calls it in a thread."""

    def told(request: Request) -> Response:
        try:
            return answer(request)
        except (IndexError, KeyError):
            return PlainTextResponse("there is no such frame", 404)
        except Changed as error:
            return PlainTextResponse(str(error), 409)
        except (ValueError, OSError) as error:
            return PlainTextResponse(" ".join(str(error).split()), 400)

    return told


def _with_body(session: Session, answer: Callable[[Session, Request, bytes], Response]) -> Callable[[Request], Any]:
    """The same for an address that is sent something: at most what the labels of a frame take."""

    async def read(request: Request) -> Response:
        assert session.film.size is not None
        most, body = 2 * session.film.size[0] * session.film.size[1] + (1 << 16), b""
        async for part in request.stream():
            body += part
            if len(body) > most:
                return PlainTextResponse("that is more than the labels of a frame", 413)
        return await run_in_threadpool(_sentences(lambda request: answer(session, request, body)), request)

    return read


async def _events(session: Session, request: Request) -> AsyncIterator[str]:
    """Yields the state whenever it has changed."""
    before, silent = "", 0.0
    while not await request.is_disconnected():
        text = json.dumps(await run_in_threadpool(session.state))
        if text != before:
            before, silent = text, 0.0
            yield f"data: {text}\n\n"
        elif silent >= ALIVE:
            silent = 0.0
            yield ": still there\n\n"
        await asyncio.sleep(EVERY)
        silent += EVERY


def _picture(read: Callable[[int], bytes], request: Request, kept: dict[str, str] = KEPT) -> Response:
    return Response(read(request.path_params["number"]), media_type="image/jpeg", headers=kept)


def _labels(session: Session, request: Request) -> Response:
    labels, revision = session.drawing.read(request.path_params["number"])
    return _packed(labels, revision)


def _masks(session: Session, request: Request) -> Response:
    found = session.predicted(request.path_params["number"])
    if found is None:
        raise KeyError
    return _packed(found)


def _write(session: Session, request: Request, body: bytes) -> Response:
    known = int(request.headers.get("If-Match", "0"))
    labels = None if request.method == "DELETE" else _unpacked(session, body)
    return _changed(session, lambda: session.drawing.write(request.path_params["number"], labels, known))


def _snap(session: Session, request: Request, body: bytes) -> Response:
    number = int(request.query_params["object"])
    return _packed(session.snap(request.path_params["number"], _unpacked(session, body), number))


def _name(session: Session, request: Request, body: bytes) -> Response:
    return _changed(session, lambda: session.drawing.name_objects(json.loads(body)))


def _changed(session: Session, change: Callable[[], object]) -> Response:
    """Changes something; answers with the number of the first state that knows of it."""
    answer = change()
    return JSONResponse(answer, headers={"State": str(session.changed())})


def _packed(labels: Labels, revision: int = 0) -> Response:
    headers = {"ETag": str(revision), "Content-Encoding": "deflate"}
    return Response(zlib.compress(labels.tobytes(), 1), media_type="application/octet-stream", headers=headers)


def _unpacked(session: Session, body: bytes) -> Labels:
    """Raises ValueError where it is not the labels of a frame; no more of it is unpacked than these take."""
    assert session.film.size is not None
    count = session.film.size[0] * session.film.size[1]
    try:
        data = zlib.decompressobj().decompress(body, count + 1)
    except zlib.error as error:
        raise ValueError(f"these are no labels of a frame ({error})") from error
    if len(data) != count:
        raise ValueError(f"these are the labels of {len(data)} pixels, but a frame has {count}")
    return np.frombuffer(data, np.uint8).reshape(session.film.size)
