"""The build of one create_model node, in the order of the materialization."""
