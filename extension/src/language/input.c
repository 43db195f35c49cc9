/* A row's arguments, or the attributes of its one composite argument, to the program's cells. */
#include "model.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "program/dates.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#define DAYS_TO_2000 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

static void
put_time(const InputReader *reader, int64 time, double seconds)
{
	if (reader->time != NULL)
		memcpy(reader->time, &time, sizeof(time));
	if (reader->number != NULL)
		*reader->number = seconds;
}

static void
read_date(const InputReader *reader, DateADT date)
{
	int64		days = (int64) date + DAYS_TO_2000;

	/* a date after the last timestamp is missing, as in SQL, which reads dates as timestamps */
	if (DATE_NOT_FINITE(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		put_time(reader, NO_TIME, NAN);
	else
		put_time(reader, days, plm_day_part(days, PART_EPOCH));
}

static void
read_text(const InputReader *reader, Datum value)
{
	text	   *packed = DatumGetTextPP(value);

	reader->text->bytes = VARDATA_ANY(packed);
	reader->text->length = (uint32) VARSIZE_ANY_EXHDR(packed);
	/* blanks at the end of a char(n) mean nothing, as in SQL's own comparisons */
	if (reader->decoder == DECODE_BPCHAR)
		while (reader->text->length > 0 && reader->text->bytes[reader->text->length - 1] == ' ')
			reader->text->length--;
}

static void
read_enum(const InputReader *reader, Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for enum value %u", value);
	reader->text->bytes = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	reader->text->length = (uint32) strlen(reader->text->bytes);
	ReleaseSysCache(tuple);
}

static void
read_null(const InputReader *reader)
{
	if (reader->text != NULL)
		reader->text->bytes = NULL;
	else
		put_time(reader, NO_TIME, NAN);
}

static void
read_other(const InputReader *reader, Datum value)
{
	TimeTzADT  *timetz;
	int64		micros;

	switch (reader->decoder)
	{
		case DECODE_NUMERIC:
			*reader->number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
			break;
		case DECODE_ENUM:
			read_enum(reader, DatumGetObjectId(value));
			break;
		case DECODE_DATE:
			read_date(reader, DatumGetDateADT(value));
			break;
		case DECODE_TIME:
			micros = DatumGetTimeADT(value);
			put_time(reader, micros, plm_time_part(micros, PART_EPOCH));
			break;
		case DECODE_TIMETZ:
			/* zones are counted in seconds west of Greenwich */
			timetz = DatumGetTimeTzADTP(value);
			micros = timetz->time + timetz->zone * USECS_PER_SEC;
			put_time(reader, micros, plm_time_part(micros, PART_EPOCH));
			break;
		case DECODE_TIMESTAMP:
			micros = DatumGetTimestamp(value);
			if (TIMESTAMP_NOT_FINITE(micros))
				put_time(reader, NO_TIME, NAN);
			else
				put_time(reader, micros, plm_seconds_since_1970(micros));
			break;
		default:
			break;
	}
}

PLM_INLINE void
read_input(const InputReader *reader, Datum value, bool is_null)
{
	if (is_null)
	{
		if (reader->decoder != DECODE_NOTHING)
			read_null(reader);
		return;
	}
	switch (reader->decoder)
	{
		case DECODE_FLOAT8:
			*reader->number = DatumGetFloat8(value);
			break;
		case DECODE_FLOAT4:
			*reader->number = DatumGetFloat4(value);
			break;
		case DECODE_INT2:
			*reader->number = DatumGetInt16(value);
			break;
		case DECODE_INT4:
			*reader->number = DatumGetInt32(value);
			break;
		case DECODE_INT8:
			*reader->number = (double) DatumGetInt64(value);
			break;
		case DECODE_BOOL:
			*reader->number = DatumGetBool(value) ? 1.0 : 0.0;
			break;
		case DECODE_TEXT:
		case DECODE_BPCHAR:
			read_text(reader, value);
			break;
		default:
			read_other(reader, value);
	}
}

static void
read_composite(Model *model, NullableDatum *argument)
{
	Composite  *composite = &model->composite;
	HeapTupleHeader header;
	HeapTupleData tuple;
	TupleDesc	descriptor;
	uint64		identifier;

	/* where the row is NULL as a whole, all inputs are missing */
	if (argument->isnull)
	{
		for (uint32 i = 0; i < model->program->n_inputs; i++)
			read_input(&model->readers[i], (Datum) 0, true);
		return;
	}
	header = DatumGetHeapTupleHeader(argument->value);
	/* held, since binding reads catalogs, after which an altered type's descriptor would be freed */
	descriptor = lookup_rowtype_tupdesc(composite->type, -1);
	identifier = lookup_type_cache(composite->type, TYPECACHE_TUPDESC)->tupDesc_identifier;
	if (composite->identifier != identifier)
	{
		plm_function_name = model->name;
		plm_bind_composite(model, descriptor);
		composite->identifier = identifier;
	}
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, descriptor, composite->values, composite->nulls);
	ReleaseTupleDesc(descriptor);
	for (uint32 i = 0; i < model->program->n_inputs; i++)
	{
		int			position = composite->positions[i];

		read_input(&model->readers[i], composite->values[position], composite->nulls[position]);
	}
}

void
plm_read_row(Model *model, FunctionCallInfo fcinfo)
{
	const InputReader *readers = model->readers;
	uint32		n_inputs = model->program->n_inputs;

	if (OidIsValid(model->composite.type))
	{
		read_composite(model, &fcinfo->args[0]);
		return;
	}
	for (uint32 i = 0; i < n_inputs; i++)
		read_input(&readers[i], fcinfo->args[i].value, fcinfo->args[i].isnull);
}
