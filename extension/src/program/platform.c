/* Memory, errors and texts as Postgres has them. */
#include "platform.h"

#include "mb/pg_wchar.h"

const char *plm_function_name = "";

void *
plm_alloc(size_t size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

void
plm_free(void *memory)
{
	pfree(memory);
}

const HashKey *
plm_hash_key(bool draw)
{
	static HashKey key;
	static bool drawn = false;

	if (draw || !drawn)
	{
		if (!pg_strong_random(&key, sizeof(key)))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		drawn = true;
	}
	return &key;
}

#define REJECT(code, text) \
	do \
	{ \
		char		reason[256]; \
		va_list		arguments; \
		\
		va_start(arguments, format); \
		vsnprintf(reason, sizeof(reason), format, arguments); \
		va_end(arguments); \
		ereport(ERROR, \
				(errcode(code), \
				 errmsg("body of function \"%s\" " text ": %s", plm_function_name, reason))); \
	} while (0)

void
plm_reject(const char *format,...)
{
	REJECT(ERRCODE_INVALID_FUNCTION_DEFINITION, "is not a scoring program");
	pg_unreachable();
}

void
plm_reject_unsupported(const char *format,...)
{
	REJECT(ERRCODE_FEATURE_NOT_SUPPORTED, "can't be run");
	pg_unreachable();
}

Text
plm_server_text(Text utf8)
{
	Text		result;
	char	   *copy;

	if (utf8.length > 0 && memchr(utf8.bytes, 0, utf8.length) != NULL)
		plm_reject("a text holds a zero byte");
	if (!pg_verify_mbstr(PG_UTF8, utf8.bytes, (int) utf8.length, true))
		plm_reject("a text is not UTF-8");
	copy = palloc((Size) utf8.length + 1);
	memcpy(copy, utf8.bytes, utf8.length);
	copy[utf8.length] = '\0';
	result.bytes = copy;
	result.length = utf8.length;
	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		result.bytes = pg_any_to_server(copy, (int) utf8.length, PG_UTF8);
		result.length = (uint32) strlen(result.bytes);
	}
	return result;
}

Text
plm_utf8_text(Text server)
{
	Text		result = server;

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		result.bytes = pg_server_to_any(server.bytes, (int) server.length, PG_UTF8);
		result.length = result.bytes == server.bytes ? server.length : (uint32) strlen(result.bytes);
	}
	return result;
}
