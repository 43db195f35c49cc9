"""From a dbt node's config to what is trained: every key, checked at parse time."""
