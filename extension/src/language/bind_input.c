/* Which argument, or attribute of the one composite argument, each input is read from, and how. */
#include "model.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static Decoder
decoder_of_number(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DECODE_INT2;
		case INT4OID:
			return DECODE_INT4;
		case INT8OID:
			return DECODE_INT8;
		case FLOAT4OID:
			return DECODE_FLOAT4;
		case FLOAT8OID:
			return DECODE_FLOAT8;
		case NUMERICOID:
			return DECODE_NUMERIC;
		default:
			return DECODE_NOTHING;
	}
}

static Decoder
decoder_of_text(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			return DECODE_TEXT;
		case BPCHAROID:
			return DECODE_BPCHAR;
		default:
			return type_is_enum(type) ? DECODE_ENUM : DECODE_NOTHING;
	}
}

static Decoder
decoder_of(InputKind kind, Oid type)
{
	switch (kind)
	{
		case INPUT_NUMBER:
			return decoder_of_number(type);
		case INPUT_BOOLEAN:
			return type == BOOLOID ? DECODE_BOOL : DECODE_NOTHING;
		case INPUT_TEXT:
			return decoder_of_text(type);
		case INPUT_DATE:
			return type == DATEOID ? DECODE_DATE : DECODE_NOTHING;
		case INPUT_TIME:
			return type == TIMEOID ? DECODE_TIME : type == TIMETZOID ? DECODE_TIMETZ : DECODE_NOTHING;
		case INPUT_TIMESTAMP:
			return type == TIMESTAMPOID ? DECODE_TIMESTAMP : DECODE_NOTHING;
		case INPUT_TIMESTAMPTZ:
			return type == TIMESTAMPTZOID ? DECODE_TIMESTAMP : DECODE_NOTHING;
		default:
			return DECODE_NOTHING;
	}
}

/* How much of a name a message shows: no part of a character. */
static int
shown_length(const char *name)
{
	return pg_mbcliplen(name, (int) strlen(name), 100);
}

static void
bind_input(Model *model, uint32 index, Oid type)
{
	Program    *program = model->program;
	const Input *input = &program->inputs[index];
	InputReader *reader = &model->readers[index];

	/* a domain's values are its base type's */
	reader->decoder = decoder_of(input->kind, getBaseType(type));
	if (reader->decoder == DECODE_NOTHING)
		plm_reject_unsupported("argument \"%.*s\" has type %s, which is not of the kind it was trained on",
							   shown_length(input->name), input->name, format_type_be(type));
	if (input->number_cell != NO_CELL)
		reader->number = &program->cells[input->number_cell];
	if (input->time_cell != NO_CELL)
		reader->time = &program->cells[input->time_cell];
	if (input->kind == INPUT_TEXT)
		reader->text = &program->texts[input->text];
	if (reader->number == NULL && reader->time == NULL && !input->text_read)
		reader->decoder = DECODE_NOTHING;
}

static int
find_attribute(TupleDesc descriptor, const char *name)
{
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return i;
	}
	plm_reject_unsupported("its argument has no attribute \"%.*s\"", shown_length(name), name);
}

/* Find the inputs among the attributes, by name; once, and again after the type was altered. */
void
plm_bind_composite(Model *model, TupleDesc descriptor)
{
	Composite  *composite = &model->composite;
	MemoryContext caller = CurrentMemoryContext;

	if (model->context != NULL)
		MemoryContextSwitchTo(model->context);
	if (composite->positions != NULL)
	{
		pfree(composite->positions);
		pfree(composite->values);
		pfree(composite->nulls);
		composite->positions = NULL;
	}
	composite->identifier = 0;
	composite->n_attributes = descriptor->natts;
	composite->positions = palloc0(sizeof(int) * (model->program->n_inputs + 1));
	composite->values = palloc0(sizeof(Datum) * (descriptor->natts + 1));
	composite->nulls = palloc0(sizeof(bool) * (descriptor->natts + 1));
	for (uint32 i = 0; i < model->program->n_inputs; i++)
	{
		composite->positions[i] = find_attribute(descriptor, model->program->inputs[i].name);
		bind_input(model, i, TupleDescAttr(descriptor, composite->positions[i])->atttypid);
	}
	MemoryContextSwitchTo(caller);
}

/* Check the function's arguments against the program's inputs and prepare reading them. */
void
plm_bind_inputs(Model *model, HeapTuple tuple)
{
	Form_pg_proc procedure = (Form_pg_proc) GETSTRUCT(tuple);
	uint32		n_inputs = model->program->n_inputs;
	uint32		n_arguments = (uint32) procedure->pronargs;
	const Oid  *types = procedure->proargtypes.values;

	model->readers = palloc0(sizeof(InputReader) * (n_inputs + 1));
	if (n_arguments == 1 && get_typtype(types[0]) == TYPTYPE_COMPOSITE)
	{
		TupleDesc	descriptor = lookup_rowtype_tupdesc(types[0], -1);

		model->composite.type = types[0];
		plm_bind_composite(model, descriptor);
		ReleaseTupleDesc(descriptor);
		return;
	}
	if (n_arguments != n_inputs)
		plm_reject_unsupported("the function has %u arguments, the scoring program %u", n_arguments, n_inputs);
	for (uint32 i = 0; i < n_inputs; i++)
		bind_input(model, i, types[i]);
}
