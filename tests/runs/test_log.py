"""The log file of a run on a disk that becomes full."""

import logging

import pytest

from revseg.runs.log import LogFile
from tests.harm import full_disk


def test_a_full_disk_ends_the_log_and_not_the_run(tmp_path, caplog, capsys):
    logger = logging.getLogger("revseg")
    handler = LogFile(tmp_path / "train.log", encoding="utf-8")
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, logger="revseg"):
            logger.info("first")
            with full_disk(20):
                for number in range(5):
                    logger.info("line %d", number)
                handler.close()
    finally:
        logger.removeHandler(handler)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == [f"{tmp_path / 'train.log'} is not written any more: File too large; free space there"]
    assert (tmp_path / "train.log").read_text().startswith("first\nline 0\n")
    assert capsys.readouterr().err == ""


def test_a_mistake_of_ours_is_shown(tmp_path, capsys):
    handler = LogFile(tmp_path / "train.log", encoding="utf-8")
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    handler.close()
    assert "TypeError" in capsys.readouterr().err
    assert not handler.ended


@pytest.mark.parametrize("lines", [0, 3])
def test_it_is_a_file_handler(tmp_path, lines):
    handler = LogFile(tmp_path / "train.log", encoding="utf-8")
    for number in range(lines):
        handler.handle(logging.makeLogRecord({"msg": str(number)}))
    handler.close()
    assert (tmp_path / "train.log").read_text().split() == [str(number) for number in range(lines)]
