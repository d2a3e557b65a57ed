"""Kills runs at random moments and resumes them.

moment      when a process is killed: after a time, or as it writes
content     what a run has to end with, bit for bit
storm       a run that is killed and resumed until it is done
"""

import harness  # noqa: F401  (so that the checkout need not be installed)
