"""revseg-label: a page in the browser on which to label frames of a video, train, look at the masks, and correct them.

    revseg-label my.mp4                               opens the page; labels go to labels/my, the run to runs/my
    revseg-label my.mp4 browser=false port=8642       on a server: ssh -L 8642:127.0.0.1:8642 server, then open the address
    revseg-label my.mp4 training.steps=100            all settings of revseg-train

The page is served on 127.0.0.1 alone, below a token that changes each time. Labels are saved as they are drawn, and
revseg-train reads them: data.masks=labels/my. The same command goes on where the last one ended.
"""

from __future__ import annotations

import logging
import secrets
import socket
import webbrowser
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from revseg.cli.main import label as main
from revseg.cli.settings import covers, leaves
from revseg.config import LabelConfig, TrainConfig
from revseg.runs.folder import RunFolder
from revseg.runs.lock import locked

LOG = logging.getLogger("revseg")


def label(config: LabelConfig, given: Collection[str] = ()) -> None:
    """Serves the page until it is interrupted. given: settings and groups that were named: each training gets them."""
    try:
        import uvicorn

        from revseg.page.app import application
    except ImportError as error:
        raise ValueError(f"revseg-label needs {error.name}: pip install 'revseg[label]'") from error
    from revseg.page.drawing import Drawing
    from revseg.page.film import Film
    from revseg.page.rounds import Rounds
    from revseg.page.session import Session

    config = with_folders(config)
    data = config.data
    with locked(Path(str(data.masks)), purpose="revseg-label", setting="data.masks"), listening(config.port) as listener:
        film = Film(data)
        film.open()
        with closing(film):
            assert film.size is not None
            drawing = Drawing(Path(str(data.masks)), film.size, film.names)
            rounds = Rounds(words_of(config, given))
            token = secrets.token_urlsafe(16)
            address = f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/"
            LOG.info(f"labels of {data.video} go to {data.masks}, the run to {config.run_dir}; Ctrl-C ends it\n\n  {address}\n")
            if config.browser:
                webbrowser.open(address)
            application_ = application(Session(film, drawing, rounds, run=RunFolder(Path(str(config.run_dir)))), token)
            server = uvicorn.Server(uvicorn.Config(application_, log_level="warning", timeout_graceful_shutdown=1))
            with closing(rounds), suppress(KeyboardInterrupt):  # uvicorn has ended well, and passes it on
                server.run(sockets=[listener])
            LOG.info(f"labels are in {data.masks}; the same command goes on with them")


def with_folders(config: LabelConfig) -> LabelConfig:
    """The settings with the folders of labels and run, by the video's name where they are not given."""
    data = config.data
    if data.video is None:
        raise ValueError("data.video is not set; give a video: revseg-label my.mp4")
    video = Path(data.video)
    if not video.exists():
        raise ValueError(f"{video} does not exist: check the path")
    if data.encoding not in (None, "davis2017"):
        raise ValueError(f"data.encoding={data.encoding}: the page writes object ids; leave it out")
    name = video.name if video.is_dir() else video.stem
    masks, run = data.masks or str(Path("labels") / name), config.run_dir or str(Path("runs") / name)
    return replace(config, run_dir=run, data=replace(data, masks=masks))


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket of this machine alone; where the port is not free, another one. 0: any."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()  # a browser that comes early waits
        except OSError as error:
            raise ValueError(f"port {port} is in use ({error.strerror}): choose another with port=, or port=0 for any") from error
        yield listener


def words_of(config: LabelConfig, given: Collection[str]) -> list[str]:
    """Returns the words of revseg-train for a round: folders, and what was named."""
    always = {"data.video", "data.masks", "run_dir"}
    keys = [setting.key for setting in leaves(TrainConfig)]
    return [f"{key}={_word(reduce(getattr, key.split('.'), config))}" for key in keys if key in always or covers(given, key)]


def _word(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
