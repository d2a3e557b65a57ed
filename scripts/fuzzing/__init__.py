"""Damaged and hostile input for the commands.

healthy     small inputs of every kind, all of them good
mutations   what is done to bytes, text and folders
checkpoints what is done to checkpoints, so that their checksums are right
kinds       a case: a kind of input, damaged, and the command line that reads it
verdict     whether a command ended as it has to
coverage    the same for the readers alone, guided by coverage
"""

import harness  # noqa: F401  (so that the checkout need not be installed)
