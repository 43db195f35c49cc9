"""The pipeline itself as what answers: packed for the catalog, and unpacked inside a Postgres backend.

`artifact` and `audit` run in the training process. `scorer` runs in the server's own Python, where this
package is not installed: its source travels in the artifact.
"""
