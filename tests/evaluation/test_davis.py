"""Which frames and objects count, and how they are averaged; folders of masks; what is refused."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.evaluation.davis import Score, average, evaluate_folders, evaluate_masks
from revseg.evaluation.measures import Statistics

SHAPE = (12, 16)


def save(path: Path, mask: np.ndarray) -> None:
    """An 8-bit palette PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    image.save(path)


def save_sequence(folder: Path, masks: list[np.ndarray]) -> Path:
    for index, mask in enumerate(masks):
        save(folder / f"{index:05d}.png", mask)
    return folder


def rows(*values: int) -> np.ndarray:
    """A mask whose row y is filled with values[y]; rows beyond are background."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[: len(values)] = np.array(values, np.uint8)[:, None]
    return mask


def parts(score: Score) -> list[float]:
    return [score.J.mean, score.J.recall, score.J.decay, score.F.mean, score.F.recall, score.F.decay]


class TestEvaluateMasks:
    def test_frames_of_each_object(self) -> None:
        labels = [rows(1, 1, 2, 2)] * 3
        predictions = [rows(1, 1, 2, 2), rows(1, 0, 2, 0), rows(0, 0, 2, 2)]
        scores = evaluate_masks(predictions, labels, object_ids=[1, 2])
        assert list(scores) == [1, 2]
        # J 1, 1/2, 0. Contour in row 1, predicted in row 1, row 0 (1 pixel off: matches), nowhere: F 1, 1, 0.
        assert parts(scores[1]) == pytest.approx([0.5, 1 / 3, 0.75, 2 / 3, 2 / 3, 1.0], abs=1e-6)
        # J 1, 1/2, 1. Contours in rows 1 and 3, predicted in rows 1 and 2 in frame 1: all within 1 pixel.
        assert parts(scores[2]) == pytest.approx([2.5 / 3, 2 / 3, -0.25, 1.0, 1.0, 0.0], abs=1e-6)

    def test_void_and_other_ids_count_nowhere(self) -> None:
        label = rows(1, 1, 255, 255)
        (score,) = evaluate_masks([rows(1, 1, 1, 7)], [label], object_ids=[1]).values()
        assert parts(score) == pytest.approx([1, 1, 0, 1, 1, 0], abs=1e-6)

    def test_object_absent_from_truth_and_prediction(self) -> None:
        scores = evaluate_masks([rows(1)], [rows(1)], object_ids=[1, 2])
        assert scores[2].jf == pytest.approx(1.0, abs=1e-6)

    def test_a_frame_that_is_void_all_over_does_not_count(self) -> None:
        void = np.full(SHAPE, 255, np.uint8)
        (score,) = evaluate_masks([rows(1), rows(1)], [rows(1, 1), void], object_ids=[1]).values()
        assert score.J.mean == pytest.approx(0.5)
        with pytest.raises(ValueError, match="nothing to measure: all labels are 255, void, throughout"):
            evaluate_masks([rows(1)], [void], object_ids=[1])

    @pytest.mark.parametrize("pixels", [1, 3, 9])
    def test_many_objects_are_measured_as_each_alone(self, pixels: int) -> None:
        """With objects at the edges of the frame, in several pieces, missed, and beside void."""
        random = np.random.default_rng(pixels)
        label = np.zeros((60, 90), np.uint8)
        for number in range(200):
            y, x = random.integers(0, label.shape)
            label[y : y + pixels, x : x + pixels] = 1 + 5 * (number % 50)
        label[20:22] = 255
        prediction = np.where(random.random(label.shape) < 0.1, 0, np.roll(label, (1, 2), (0, 1))).astype(np.uint8)
        ids = [*range(1, 251, 5), 254]
        together = evaluate_masks([prediction], [label], ids)
        alone = {number: evaluate_masks([prediction], [label], [number])[number] for number in ids}
        assert together == alone

    def test_many_objects_with_holes_in_their_ids(self) -> None:
        label = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype(np.uint8)
        ids = [number for number in range(1, 192) if number % 3]
        scores = evaluate_masks([np.where(label == 190, 0, label)], [label], ids)
        assert [number for number, score in scores.items() if score.J.mean < 1] == [190]

    def test_takes_generators_of_equal_length(self) -> None:
        frames = [rows(1), rows(1)]
        assert evaluate_masks(iter(frames), (frame for frame in frames), [1])[1].jf == 1.0
        with pytest.raises(ValueError, match="longer"):
            evaluate_masks(frames[:1], frames, [1])


def test_average_of_scores() -> None:
    first = Score(Statistics(0.2, 0.4, 0.1), Statistics(0.6, 0.8, -0.1))
    second = Score(Statistics(0.4, 0.0, 0.3), Statistics(0.8, 1.0, 0.3))
    assert parts(average([first, second])) == pytest.approx([0.3, 0.2, 0.2, 0.7, 0.9, 0.1], abs=1e-6)
    assert average([first, second]).jf == pytest.approx(0.5, abs=1e-6)


class TestEvaluateFolders:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        """`pair`: object 1 perfect, object 2 never found. `single`: perfect but in first and last frame."""
        annotation, prediction = tmp_path / "annotation", tmp_path / "prediction"
        save_sequence(annotation / "pair", [rows(1, 1, 2, 2)] * 4)
        save_sequence(prediction / "pair", [rows(1, 1, 0, 0)] * 4)
        save_sequence(annotation / "single", [rows(1, 1)] * 4)
        save_sequence(prediction / "single", [rows(0), rows(1, 1), rows(1, 1), rows(0)])
        return prediction, annotation

    def test_protocols_choose_frames(self, folders) -> None:
        means = {
            protocol: evaluate_folders(*folders, protocol=protocol).sequences["single"][1].J.mean
            for protocol in ("semi-supervised", "unsupervised", "all")
        }
        assert means == pytest.approx({"semi-supervised": 1.0, "unsupervised": 0.5, "all": 0.5}, abs=1e-6)

    def test_overall_is_the_mean_of_objects_not_of_sequences(self, folders) -> None:
        report = evaluate_folders(*folders)
        assert report.overall.J.mean == pytest.approx((1 + 0 + 1) / 3, abs=1e-6)
        assert report.overall.J.recall == pytest.approx(2 / 3, abs=1e-6)
        assert report.overall.jf == pytest.approx(2 / 3, abs=1e-6)
        assert average(report.sequences["pair"].values()).J.mean == pytest.approx(0.5, abs=1e-6)

    def test_left_out_frames_need_no_prediction(self, folders) -> None:
        prediction, annotation = folders
        (prediction / "single" / "00000.png").unlink()
        (prediction / "single" / "00003.png").unlink()
        assert evaluate_folders(*folders).sequences["single"][1].jf == 1.0
        with pytest.raises(ValueError, match="no mask 00000.png.*predict every frame"):
            evaluate_folders(*folders, protocol="all")

    def test_one_sequence_and_its_name(self, folders) -> None:
        prediction, annotation = folders
        report = evaluate_folders(prediction / "pair", annotation / "pair")
        assert list(report.sequences) == ["pair"]
        assert list(report.sequences["pair"]) == [1, 2]

    def test_masks_subfolder_of_a_prediction(self, folders, tmp_path: Path) -> None:
        prediction, annotation = folders
        (prediction / "pair").rename(tmp_path / "masks")
        (tmp_path / "run").mkdir()
        (tmp_path / "masks").rename(tmp_path / "run" / "masks")
        assert evaluate_folders(tmp_path / "run", annotation / "pair").sequences["pair"][1].jf == 1.0

    def test_only_named_sequences_count(self, folders) -> None:
        prediction, annotation = folders
        save_sequence(annotation / "not predicted", [rows(1)] * 4)
        assert list(evaluate_folders(*folders, names=["single"]).sequences) == ["single"]
        with pytest.raises(ValueError, match="not predicted has no PNG masks.*split="):
            evaluate_folders(*folders)
        with pytest.raises(ValueError, match="nothing to evaluate"):
            evaluate_folders(*folders, names=[])

    def test_sparse_annotation(self, folders) -> None:
        prediction, annotation = folders
        (annotation / "single" / "00002.png").unlink()
        report = evaluate_folders(*folders, protocol="all")
        assert report.sequences["single"][1].J.mean == pytest.approx(1 / 3, abs=1e-6)

    def test_frames_are_ordered_by_number(self, tmp_path: Path) -> None:
        for number in (9, 10, 11):
            save(tmp_path / "annotation" / f"{number}.png", rows(1))
            save(tmp_path / "prediction" / f"{number}.png", rows(1 if number == 10 else 0))
        report = evaluate_folders(tmp_path / "prediction", tmp_path / "annotation")
        assert report.overall.J.mean == 1.0

    def test_names_that_mean_the_same_frame_are_a_pair(self, tmp_path: Path) -> None:
        for number in (9, 10):
            save(tmp_path / "annotation" / f"frame_{number:05d}.png", rows(1))
            save(tmp_path / "prediction" / f"Frame_{number}.PNG", rows(1))
        (tmp_path / "annotation" / "._frame_00009.png").write_bytes(b"hidden")
        assert evaluate_folders(tmp_path / "prediction", tmp_path / "annotation", protocol="all").overall.J.mean == 1.0
        save(tmp_path / "prediction" / "frame_9.png", rows(0))
        with pytest.raises(ValueError, match=r"frame_9\.png and .*Frame_9\.PNG are masks of one frame: remove one"):
            evaluate_folders(tmp_path / "prediction", tmp_path / "annotation", protocol="all")

    def test_encodings(self, tmp_path: Path) -> None:
        for index in range(3):
            (tmp_path / "grey").mkdir(exist_ok=True)
            Image.fromarray(rows(255, 255)).save(tmp_path / "grey" / f"{index:05d}.png")
        save_sequence(tmp_path / "ids", [rows(1, 1)] * 3)
        grey, ids = tmp_path / "grey", tmp_path / "ids"
        assert evaluate_folders(ids, grey, encoding="davis2016").overall.jf == 1.0
        assert evaluate_folders(grey, ids, prediction_encoding="davis2016").overall.jf == 1.0
        assert evaluate_folders(grey, grey, "davis2016", prediction_encoding="davis2016").overall.jf == 1.0

    def test_real_annotation(self, clip_root: Path) -> None:
        folder = clip_root / "Annotations" / "480p" / "barrel"
        report = evaluate_folders(folder, folder, "davis2016", prediction_encoding="davis2016")
        assert parts(report.sequences["barrel"][1]) == pytest.approx([1, 1, 0, 1, 1, 0], abs=1e-6)


class TestRefuses:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        return (
            save_sequence(tmp_path / "prediction", [rows(1)] * 3),
            save_sequence(tmp_path / "annotation", [rows(1)] * 3),
        )

    def test_absent_folder(self, folders, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="prediction=.*nowhere is not a folder"):
            evaluate_folders(tmp_path / "nowhere", folders[1])
        with pytest.raises(ValueError, match="annotation=.*nowhere is not a folder"):
            evaluate_folders(folders[0], tmp_path / "nowhere")

    def test_empty_annotation(self, folders, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="empty has no PNG masks"):
            evaluate_folders(folders[0], tmp_path / "empty")

    def test_missing_frame(self, folders) -> None:
        (folders[0] / "00001.png").unlink()
        with pytest.raises(ValueError, match="prediction has no mask 00001.png"):
            evaluate_folders(*folders)

    def test_other_size(self, folders) -> None:
        save(folders[0] / "00001.png", rows(1)[:, :8])
        with pytest.raises(ValueError, match="00001.png is 8 x 12 pixels.*00001.png is 16 x 12"):
            evaluate_folders(*folders)

    @pytest.mark.parametrize("value", [2, 255])
    def test_object_that_is_not_annotated(self, folders, value: int) -> None:
        save(folders[0] / "00001.png", rows(1, value))
        with pytest.raises(ValueError, match=f"00001.png has object {value}.*only 1"):
            evaluate_folders(*folders)

    def test_annotation_without_object(self, folders) -> None:
        save_sequence(folders[1], [rows(0)] * 3)
        with pytest.raises(ValueError, match="no object in .*annotation"):
            evaluate_folders(*folders)

    def test_too_few_frames(self, folders) -> None:
        (folders[1] / "00002.png").unlink()
        with pytest.raises(ValueError, match=r"2 frame\(s\).*set protocol=all"):
            evaluate_folders(*folders)
        assert evaluate_folders(*folders, protocol="all").overall.jf == 1.0

    def test_unknown_protocol(self, folders) -> None:
        with pytest.raises(ValueError, match="'supervised'.*semi-supervised, unsupervised, all"):
            evaluate_folders(*folders, protocol="supervised")

    @pytest.mark.parametrize("content", [b"", b"not an image"])
    def test_file_that_is_no_image(self, folders, content: bytes) -> None:
        (folders[0] / "00001.png").write_bytes(content)
        with pytest.raises((ValueError, OSError), match="00001.png"):
            evaluate_folders(*folders)


def moving_ellipse(frames: int) -> list[np.ndarray]:
    y, x = np.ogrid[:480, :854]
    return [
        (((y - 200) / 120) ** 2 + ((x - 300 - 6 * t) / (160 + 20 * np.sin(y / 9))) ** 2 < 1).astype(np.uint8)
        for t in range(frames)
    ]


def test_speed(tmp_path: Path) -> None:
    """At least 25 frames a second at 480 x 854 on one core, reading files included; measured: over 100."""
    truth = moving_ellipse(21)
    prediction = save_sequence(tmp_path / "prediction", truth[1:])
    annotation = save_sequence(tmp_path / "annotation", truth[:-1])
    start = time.process_time()
    evaluate_folders(prediction, annotation, protocol="all")
    assert time.process_time() - start < 20 / 25
