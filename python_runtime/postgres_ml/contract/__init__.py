"""What dbt's process and the training process say to each other.

Standard library only: `dbt parse` loads it.
"""
