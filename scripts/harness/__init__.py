"""What all measurements share: one question is one script, and this is the rest.

arguments   pieces of the command lines
command     commands of revseg, in processes that start at once
process     a process for each case, with its own log; side by side where times are compared
memory      peak memory of a piece of work
browser     revseg-label in a real browser, and a hand that draws in it
machine     processor, threads, versions
results     a JSON file for each finished case: a second call measures only what is missing
page        Markdown tables, and sections of a page between markers
plots       curves and bars
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # so that the checkout need not be installed; imported before anything of revseg
    sys.path.insert(0, str(ROOT))

from revseg.cli.openmp import sleep_early  # noqa: E402 (the checkout lies on the path from here on)

sleep_early()  # as the commands do, before PyTorch is imported
