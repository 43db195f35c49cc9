"""The scoring program (intermediate representation): frozen data, JSON form, reference interpreter."""
