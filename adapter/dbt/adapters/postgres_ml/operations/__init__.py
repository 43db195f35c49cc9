"""What the `dbt run-operation` macros ask of Python."""
