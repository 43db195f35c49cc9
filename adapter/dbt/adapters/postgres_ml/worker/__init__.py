"""The worker: trains and publishes what SQL clients create, by dbt's build, in a child process each."""
