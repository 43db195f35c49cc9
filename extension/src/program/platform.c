/* Memory, errors and texts as Postgres has them. */
#include "platform.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

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
		/* where it was cut, no part of a character stays */ \
		reason[pg_mbcliplen(reason, (int) strlen(reason), sizeof(reason) - 1)] = '\0'; \
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

#if PG_VERSION_NUM >= 140000
/* A character without a counterpart in UTF-8 is a blank: a single-byte encoding stores any byte. */
static Text
convert_to_utf8(Text server)
{
	int			encoding = GetDatabaseEncoding();
	Oid			procedure = FindDefaultConversionProc(encoding, PG_UTF8);
	int			length = (int) server.length;
	Size		room = ((Size) length + 2) * MAX_CONVERSION_GROWTH + 1;
	char	   *converted = palloc(room);
	Size		written = 0;
	int			read = 0;

	if (!OidIsValid(procedure))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("default conversion function for encoding \"%s\" to \"UTF8\" does not exist",
						pg_encoding_to_char(encoding))));
	while (read < length)
	{
		unsigned char *source = (unsigned char *) server.bytes + read;

		CHECK_FOR_INTERRUPTS();
		read += pg_do_encoding_conversion_buf(procedure, encoding, PG_UTF8, source, length - read,
											  (unsigned char *) converted + written, (int) (room - written), true);
		written += strlen(converted + written);
		if (read < length)
		{
			converted[written++] = ' ';
			read += Min(pg_encoding_mblen(encoding, server.bytes + read), length - read);
		}
	}
	return (Text){converted, (uint32) written};
}
#endif

Text
plm_utf8_text(Text server)
{
	Text		result = server;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return result;
#if PG_VERSION_NUM >= 140000
	result = convert_to_utf8(server);
#else
	result.bytes = pg_server_to_any(server.bytes, (int) server.length, PG_UTF8);
	result.length = result.bytes == server.bytes ? server.length : (uint32) strlen(result.bytes);
#endif
	return result;
}
