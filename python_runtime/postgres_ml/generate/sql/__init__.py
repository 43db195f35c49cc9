"""Plain SQL and plpgsql: runs on any Postgres, without an extension."""
