"""The scoring program: what a fitted pipeline does to a row, as data; its JSON form and its interpreter."""
