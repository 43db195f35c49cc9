-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION plmodel" to load this file. \quit

CREATE FUNCTION plmodel_call_handler() RETURNS language_handler
	AS 'MODULE_PATHNAME' LANGUAGE C;

CREATE FUNCTION plmodel_validator(oid) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- Trusted: a body is data, not code, so every user may create functions
CREATE TRUSTED LANGUAGE plmodel
	HANDLER plmodel_call_handler
	VALIDATOR plmodel_validator;

COMMENT ON LANGUAGE plmodel IS 'fitted machine-learning pipelines as functions';
