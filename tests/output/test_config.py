"""What may be asked for, and what is refused in a sentence."""

import pytest

from revseg.output.config import FORMATS, OutputConfig
from revseg.output.formats import FILES


def test_masks_are_written_in_any_case() -> None:
    assert OutputConfig().written == ("masks", "overlay")
    assert OutputConfig(formats=["coco", "coco"]).written == ("masks", "coco")
    assert set(FILES) == set(FORMATS)


@pytest.mark.parametrize(
    ("formats", "needed"), [(["overlay", "coco", "gif"], False), (["matte"], True), (["probabilities"], True)]
)
def test_probabilities_are_kept_where_something_is_made_of_them(formats: list[str], needed: bool) -> None:
    assert OutputConfig(formats=formats).needs_probabilities is needed


@pytest.mark.parametrize("colours", ["#ff8800,#00aaff", "#FF8800, #00AAFF"])
def test_colours(colours: str) -> None:
    assert OutputConfig(colours=colours).object_colours == ((255, 136, 0), (0, 170, 255))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"formats": ["png"]}, r"^output\.formats has 'png'; choose among masks, overlay, .*, gif$"),
        ({"strength": 2.0}, r"^output\.strength is 2\.0; give 0 to 1$"),
        ({"background": "green"}, r"^output\.background has 'green'; write colours as #ff8800$"),
        ({"colours": "#ff880"}, r"^output\.colours has '#ff880'; write colours as #ff8800$"),
        ({"edge_width": 1.0}, r"^output\.edge_width is 1\.0; give 0 to 0\.1 of the height$"),
        ({"edge_noise": 0.0}, r"^output\.edge_noise is 0\.0; give more than 0, at most 1$"),
    ],
)
def test_refusals(given: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        OutputConfig(**given)
