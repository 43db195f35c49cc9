"""The training process seen from outside: dbt's handle on it, and what it reports while it works."""
