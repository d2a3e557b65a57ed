"""A person at the page: real strokes of the mouse in a real browser."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from revseg.evaluation.measures import region_similarity
from revseg.labels.masks import read_mask
from tests.harm import wait_for
from tests.page.conftest import CLIP, files_of, wait_for_files

pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 144, 256


def truth(frame: int) -> np.ndarray:
    return read_mask(CLIP.parent / "masks" / f"{frame:05d}.png", "davis2017")


def hand_at(page: Any) -> Any:
    from harness.browser import Hand

    return Hand(page, (HEIGHT, WIDTH))


def labels_of(served: Any, frame: int) -> np.ndarray:
    return read_mask(served.folder / "labels" / "clip" / f"{frame:05d}.png", "davis2017", ids=True)


def said(page: Any, text: str) -> None:
    page.locator("#said", has_text=text).wait_for()


def test_tools(serve: Callable, window: Callable) -> None:
    served = serve()
    page = window(served)
    hand, folder = hand_at(page), served.folder / "labels" / "clip"
    hand.stroke((60, 60), (120, 60))
    wait_for_files(folder, ["00000.png"])
    said(page, "saved")
    painted = labels_of(served, 0)
    assert painted[60, 60] == painted[60, 119] == painted[60 + 11, 90] == 1
    assert painted[60 + 14, 90] == painted[60, 140] == 0
    page.keyboard.press("Control+z")
    wait_for(lambda: not labels_of(served, 0).any(), 30)
    page.keyboard.press("Control+Shift+z")
    wait_for(lambda: np.array_equal(labels_of(served, 0), painted), 30)
    # A second object, filled around the first; the eraser; what is unknown.
    page.click("#add")
    page.keyboard.press("g")
    page.mouse.click(*hand.at(10, 10))
    wait_for(lambda: labels_of(served, 0)[0, 0] == 2, 30)
    assert np.array_equal(labels_of(served, 0) == 1, painted == 1)
    page.keyboard.press("e")
    hand.stroke((200, 100), (201, 100))
    wait_for(lambda: labels_of(served, 0)[100, 200] == 0, 30)
    page.keyboard.press("0")
    hand.stroke((30, 100), (31, 100))
    wait_for(lambda: labels_of(served, 0)[100, 30] == 255, 30)
    # Names and colours are kept, and so are the labels of another frame.
    page.locator("#objects input[type=text]").first.fill("a <b>barrel</b>")
    page.keyboard.press("Enter")
    wait_for(lambda: "barrel" in (folder / "objects.json").read_text(), 30)
    page.keyboard.press("Escape")
    page.locator("#canvas").focus()
    hand.go(3)
    page.keyboard.press("1")
    hand.outline(truth(3))
    wait_for_files(folder, ["00000.png", "00003.png"])
    assert region_similarity(labels_of(served, 3) == 1, truth(3) == 1) > 0.9
    page.keyboard.press("Delete")
    wait_for_files(folder, ["00000.png"])
    # A reload shows all of it again.
    page.reload()
    page.locator("#objects li").nth(1).wait_for()
    assert page.locator("#objects input[type=text]").first.input_value() == "a <b>barrel</b>"


def test_two_windows(shared: Any, window: Callable) -> None:
    one, other = window(shared), window(shared)
    hand_at(one).stroke((60, 60), (90, 60))
    other.locator("#remove:enabled").wait_for()
    other.locator("#canvas[aria-busy=false]").wait_for()
    hand_at(other).stroke((60, 100), (90, 100))
    said(other, "saved")
    assert labels_of(shared, 0)[100, 70] == labels_of(shared, 0)[60, 70] == 1
    # What one window changes while the other hears nothing of it, the other does not destroy: it is told, and begins anew.
    wait_for(lambda: one.evaluate("new Set(heard.map((state) => state.labelled[0] ?? 0)).size") == 3)
    one.locator("#canvas[aria-busy=false]").wait_for()
    other.evaluate("deaf = true")
    hand_at(one).stroke((150, 60), (180, 60))
    said(one, "saved")
    hand_at(other).stroke((150, 100), (180, 100))
    said(other, "the labels of frame 00000 were changed in another window")
    other.locator("#canvas[aria-busy=false]").wait_for()
    assert labels_of(shared, 0)[60, 160] == 1
    assert labels_of(shared, 0)[100, 160] == 0
    hand_at(other).stroke((150, 100), (180, 100))
    said(other, "saved")
    assert labels_of(shared, 0)[60, 160] == labels_of(shared, 0)[100, 160] == 1


def test_older_news_take_nothing_back(shared: Any, window: Callable) -> None:
    """Neither what comes while a change is on its way nor what was on its way meanwhile."""
    page, other = window(shared), window(shared)
    rows, held = page.locator("#objects li"), []
    page.route("**/objects", lambda route: held.append(route))
    with page.expect_request("**/objects"):
        page.click("#add")
    assert rows.count() == 2
    hand_at(other).go(9)
    hand_at(other).stroke((60, 60), (90, 60))
    wait_for(lambda: page.evaluate("heard.at(-1).labelled[9]"))
    assert rows.count() == 2
    held[0].continue_()
    wait_for(lambda: page.evaluate("heard.at(-1).objects.length") == 2)
    page.evaluate("tell(heard.find((state) => state.objects.length === 1))")
    assert rows.count() == 2
    hand_at(page).go(9)
    page.locator("#remove:enabled").wait_for()


def test_frames_that_are_left_at_once(shared: Any, window: Callable) -> None:
    """What is typed while the next frame is on its way changes neither of them; of those that are passed by none is loaded."""
    page = window(shared)
    hand, folder = hand_at(page), shared.folder / "labels" / "clip"
    held: list[Any] = []
    asked: list[str] = []
    page.route("**/frames/13", lambda route: held.append(route))
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    with page.expect_request("**/frames/13"):  # ahead, when 12 is there
        hand.go(12)
    hand.stroke((60, 60), (90, 60))
    said(page, "saved")
    for key in ("ArrowRight", "Control+z", "a", "s", "Delete", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    hand.stroke((60, 100), (90, 100))
    held[0].continue_()
    page.locator("#canvas[aria-busy=false]").wait_for()
    assert page.inner_text("#where") == "frame 15 of 20"
    assert "15" in asked
    assert "14" not in asked
    assert [name for name in files_of(folder) if name >= "00012"] == ["00012.png"]
    assert labels_of(shared, 12)[60, 70] == 1


def test_a_full_disk_and_a_killed_server(serve: Callable, window: Callable, tmp_path: Path) -> None:
    served = serve()
    page = window(served)
    hand, folder = hand_at(page), served.folder / "labels" / "clip"
    hand.stroke((60, 60), (90, 60))
    wait_for_files(folder, ["00000.png"])
    before = labels_of(served, 0)
    os.system(f"prlimit --pid {served.process.pid} --fsize=10:unlimited")
    hand.stroke((60, 100), (90, 100))
    said(page, "cannot write")
    assert np.array_equal(labels_of(served, 0), before)
    os.system(f"prlimit --pid {served.process.pid} --fsize=unlimited:unlimited")
    wait_for(lambda: labels_of(served, 0)[100, 70] == 1, 30)  # without another stroke
    served.process.kill()
    served.process.wait()
    said(page, "the server is gone")
    assert labels_of(served, 0)[60, 70] == 1
    hand.stroke((60, 120), (90, 120))  # tried again and again, which says the same
    page.wait_for_timeout(4000)
    assert page.locator("#said").text_content() == "the server is gone: start revseg-label again"
    again = serve()
    page.goto(again.address)
    page.locator("#remove:enabled").wait_for()


def test_a_long_video(serve: Callable, window: Callable, pictures: Callable, encode: Callable, tmp_path: Path) -> None:
    """Its strip stays fluid, and each of its frames can be found in it."""
    count, film = 2000, pictures(250, 32, 48)
    video = encode(tmp_path / "long.mp4", np.concatenate([film] * 8), options={"preset": "ultrafast", "g": "50"})
    served = serve(video=video)
    page = window(served, frames=count)
    strip = page.locator("#strip")
    box = strip.bounding_box()
    left, width, middle = box["x"], box["width"], box["y"] + 20
    page.evaluate("window.drawn = []; const note = (now) => { drawn.push(now); requestAnimationFrame(note); }; note(0)")
    page.mouse.move(left, middle)
    page.mouse.down()
    for place in range(60):
        page.mouse.move(left + width * place / 59, middle)
    page.mouse.up()
    pauses = np.diff(page.evaluate("drawn.slice(1)"))
    assert np.median(pauses) < 1000 / 30
    page.locator("#canvas[aria-busy=false]").wait_for()
    assert page.inner_text("#where") == f"frame {count - 1} of {count}"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(20):  # in, as far as it goes, at a third of the video
        page.mouse.move(left + width / 3, middle)
        page.mouse.wheel(0, -400)
    page.mouse.click(left + width / 3, middle)
    page.locator("#canvas[aria-busy=false]").wait_for()
    assert abs(int(page.inner_text("#where").split()[1]) - count / 3) < 3
    page.mouse.click(left + width / 3 + 90, middle)
    page.locator("#canvas[aria-busy=false]").wait_for()
    assert abs(int(page.inner_text("#where").split()[1]) - count / 3 - 1) < 3  # a thumbnail is a frame
    page.keyboard.press("End")  # what is worked on stays in sight
    page.locator("#canvas[aria-busy=false]").wait_for()
    page.mouse.click(left + width - 2, middle)
    page.locator("#canvas[aria-busy=false]").wait_for()
    assert page.inner_text("#where") == f"frame {count - 1} of {count}"
    assert sum("/frames/" in url for url in asked) < 12


def test_from_a_fresh_folder_to_masks_and_a_correction(serve: Callable, window: Callable) -> None:
    served = serve("training.steps=12", "data.height=48")
    page = window(served)
    hand = hand_at(page)
    hand.outline(truth(0))
    assert J_after_training(page, served)[0] > 0.9
    # The frame of which least is expected is the first to be labelled next; its mask is where one begins.
    note = served.folder / "runs" / "clip" / "predictions" / "prediction.json"
    expected = json.loads(note.read_text())["expected_J"]
    worst = int(page.locator("#next button").first.inner_text())
    assert expected[worst] == min(expected[1:])
    before = J_of_masks(served)
    hand.go(worst)
    page.locator("#accept:enabled").wait_for()
    page.keyboard.press("c")  # it could as well be corrected
    hand.outline(truth(worst))
    page.locator("#remove:enabled").wait_for()
    said(page, "saved")
    assert region_similarity(labels_of(served, worst) == 1, truth(worst) == 1) > 0.85
    after = J_after_training(page, served)
    assert after[worst] > before[worst]
    assert np.mean(after) > np.mean(before)


def test_the_pointer_may_be_there_before_the_canvas_has_been_measured(serve: Callable, window: Callable) -> None:
    """A mouse at rest on the page moves, for the browser, as soon as something appears beneath it."""
    there = """async () => {
        const { Stage } = await import("./static/stage.js");
        const canvas = document.body.appendChild(document.createElement("canvas"));
        const stage = new Stage(canvas, 20, 10, () => {});
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: 1, clientY: 1 }));
        return stage.pointer;
    }"""
    pointer = window(serve()).evaluate(there)
    assert np.isfinite([pointer["x"], pointer["y"]]).all()


def J_after_training(page: Any, served: Any) -> list[float]:
    page.click("#train")
    page.locator("#bar").wait_for()
    page.locator("#phase", has_text="masks are there").wait_for(timeout=240_000)
    return J_of_masks(served)


def J_of_masks(served: Any) -> list[float]:
    masks = served.folder / "runs" / "clip" / "predictions" / "masks"
    return [region_similarity(read_mask(masks / f"{frame:05d}.png", "davis2017") == 1, truth(frame) == 1) for frame in range(20)]
