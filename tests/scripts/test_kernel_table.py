"""scripts/kernel_table.py on the finest levels."""

from pathlib import Path

import kernel_table
import pytest

from tests.scripts.as_process import run_script


@pytest.mark.parametrize(("channels", "rank"), [(4, 8), (32, 32), (256, 16)])
def test_bytes_that_exist_are_those_of_the_formula(channels: int, rank: int) -> None:
    assert kernel_table.measured(channels, rank) == kernel_table.formula(channels, rank)


@pytest.mark.slow
def test_a_table_of_two_levels(tmp_path: Path) -> None:
    page = tmp_path / "kernels.md"
    run_script("kernel_table.py", "--levels", "0,1", "--page", page)
    rows = [line.split("|")[1:-1] for line in page.read_text().splitlines() if line.endswith("| measured |")]
    assert len(rows) == 10
    for row in rows:
        weights, gradients, muon, adamw = map(float, row[3:7])
        assert weights == gradients
        assert muon == pytest.approx(weights, rel=0.02)
        assert adamw == pytest.approx(2 * weights, rel=0.01)


def test_a_kernel_that_does_not_fit_is_computed() -> None:
    assert not kernel_table.fits(16384, 16384)
