"""Version of the scoring program's JSON form.

1: of release 0.1.0. 2: a cluster label may have scores besides the distances.

To change the form: raise `IR_VERSION`, teach `serialize.program_from_json` to read the older number,
freeze a file of the new version under tests/compat/ with the script that made it, and write a decision
record. A program that was stored once must load and predict the same for ever.
"""

IR_VERSION = 2
