/* The prediction as the function's return type. */
#include "model.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "program/run.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

/* One label's place in the order of probability. */
typedef struct RankedLabel
{
	double		probability;
	uint32		label;
} RankedLabel;

static bool
is_number_type(Oid type)
{
	return type == FLOAT8OID || type == FLOAT4OID || type == INT2OID || type == INT4OID || type == INT8OID ||
		type == NUMERICOID;
}

static bool
is_label_type(Oid type)
{
	return is_number_type(type) || type == BOOLOID || type == TEXTOID || type == VARCHAROID ||
		type == BPCHAROID || type_is_enum(type);
}

/* The labels as constants of the return type; its own input function says which texts it takes. */
static void
bind_labels(Model *model)
{
	const Output *output = &model->program->output;
	Oid			input_function;
	Oid			type_parameter;

	get_typlenbyval(model->return_type, &model->label_length, &model->label_by_value);
	getTypeInputInfo(model->return_type, &input_function, &type_parameter);
	model->labels = palloc0(sizeof(Datum) * output->n_labels);
	for (uint32 i = 0; i < output->n_labels; i++)
	{
		CHECK_FOR_INTERRUPTS();
		model->labels[i] = OidInputFunctionCall(input_function, (char *) output->labels[i].text,
												type_parameter, -1);
	}
}

/* The labels of probabilities that JSON writes as numbers; the others are checked. */
static void
bind_json_labels(Model *model)
{
	const Output *output = &model->program->output;

	model->labels = palloc0(sizeof(Datum) * output->n_labels);
	for (uint32 i = 0; i < output->n_labels; i++)
	{
		const Label *label = &output->labels[i];

		CHECK_FOR_INTERRUPTS();
		if (label->type == LABEL_BOOLEAN && strcmp(label->text, "true") != 0 && strcmp(label->text, "false") != 0)
			plm_reject("a boolean label is neither true nor false");
		if (label->type != LABEL_NUMBER)
			continue;
		/* digits, sign, point and exponent: neither NaN nor Infinity, which numeric takes as well */
		if (strspn(label->text, "+-.0123456789eE") != label->length)
			plm_reject("a label that JSON writes as a number is not one");
		model->labels[i] = DirectFunctionCall3(numeric_in, CStringGetDatum(label->text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
}

/* Check the function's return type against the program's output and prepare returning it. */
void
plm_bind_output(Model *model, HeapTuple tuple)
{
	Oid			type = ((Form_pg_proc) GETSTRUCT(tuple))->prorettype;
	const Program *program = model->program;

	model->return_type = type;
	if (program->role == ROLE_PROBABILITIES)
	{
		if (type != JSONBOID)
			plm_reject_unsupported("probabilities are returned as jsonb, not as %s", format_type_be(type));
		bind_json_labels(model);
	}
	else if (program->role == ROLE_DISTANCES)
	{
		if (type != FLOAT8ARRAYOID)
			plm_reject_unsupported("distances are returned as double precision[], not as %s", format_type_be(type));
	}
	else if (program->output.kind == OUTPUT_VALUE)
	{
		if (!is_number_type(type))
			plm_reject_unsupported("a value is returned as a number, not as %s", format_type_be(type));
	}
	else if (!is_label_type(type))
		plm_reject_unsupported("labels can't be returned as %s", format_type_be(type));
	else
		bind_labels(model);
}

/* A whole number, rounded as SQL's cast rounds it; NULL outside of the type's range. */
static Datum
whole_number(double value, Oid type, bool *is_null)
{
	double		rounded = rint(value);
	double		limit = type == INT2OID ? 32768.0 : type == INT4OID ? 2147483648.0 : 9223372036854775808.0;

	*is_null = !(rounded >= -limit && rounded < limit);
	if (*is_null)
		return (Datum) 0;
	switch (type)
	{
		case INT2OID:
			return Int16GetDatum((int16) rounded);
		case INT4OID:
			return Int32GetDatum((int32) rounded);
		default:
			return Int64GetDatum((int64) rounded);
	}
}

/* Shortest digits that read back to the same double. */
static Datum
numeric_of_double(double value)
{
	char		digits[64];

	double_to_shortest_decimal_buf(value, digits);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

static Datum
number(double value, Oid type, bool *is_null)
{
	switch (type)
	{
		case FLOAT8OID:
			*is_null = isnan(value);
			return Float8GetDatum(value);
		case FLOAT4OID:
			*is_null = isnan(value);
			return Float4GetDatum((float4) value);
		case NUMERICOID:
			*is_null = !isfinite(value);
			return *is_null ? (Datum) 0 : numeric_of_double(value);
		default:
			return whole_number(value, type, is_null);
	}
}

/* Most likely first, NaN before all; among equals in the labels' order. */
static int
compare_ranked(const void *left, const void *right)
{
	const RankedLabel *a = left;
	const RankedLabel *b = right;

	CHECK_FOR_INTERRUPTS();
	if (isnan(a->probability) != isnan(b->probability))
		return isnan(a->probability) ? -1 : 1;
	if (a->probability != b->probability && !isnan(a->probability))
		return a->probability > b->probability ? -1 : 1;
	return a->label < b->label ? -1 : 1;
}

static RankedLabel *
rank_labels(const Output *output, const double *cells)
{
	RankedLabel *ranked = palloc(sizeof(RankedLabel) * output->n_labels);

	for (uint32 i = 0; i < output->n_labels; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		ranked[i].probability = cells[output->probabilities[i]];
		ranked[i].label = i;
	}
	qsort(ranked, output->n_labels, sizeof(RankedLabel), compare_ranked);
	return ranked;
}

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = (char *) key;
	value.val.string.len = (int) strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_label(JsonbParseState **state, const Model *model, uint32 number)
{
	const Label *label = &model->program->output.labels[number];
	JsonbValue	value;

	switch (label->type)
	{
		case LABEL_NUMBER:
			value.type = jbvNumeric;
			value.val.numeric = DatumGetNumeric(model->labels[number]);
			break;
		case LABEL_BOOLEAN:
			value.type = jbvBool;
			value.val.boolean = strcmp(label->text, "true") == 0;
			break;
		default:
			value.type = jbvString;
			value.val.string.val = (char *) label->text;
			value.val.string.len = (int) label->length;
	}
	pushJsonbValue(state, WJB_ELEM, &value);
}

/* {"labels": [...], "probabilities": [...]} */
static Datum
probabilities(const Model *model)
{
	const Output *output = &model->program->output;
	const RankedLabel *ranked = rank_labels(output, model->program->cells);
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "labels");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; i < output->n_labels; i++)
	{
		CHECK_FOR_INTERRUPTS();
		push_label(&state, model, ranked[i].label);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	push_key(&state, "probabilities");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; i < output->n_labels; i++)
	{
		JsonbValue	value;

		CHECK_FOR_INTERRUPTS();
		/* JSON has neither NaN nor infinity */
		value.type = isfinite(ranked[i].probability) ? jbvNumeric : jbvNull;
		if (value.type == jbvNumeric)
			value.val.numeric = DatumGetNumeric(numeric_of_double(ranked[i].probability));
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(result));
}

/* The distance to each centre, in the labels' order; NULL for NaN. */
static Datum
distances(const Program *program)
{
	const Output *output = &program->output;
	int			dimensions[1] = {(int) output->n_scores};
	int			lower_bounds[1] = {1};
	Datum	   *values = palloc(sizeof(Datum) * output->n_scores);
	bool	   *nulls = palloc(sizeof(bool) * output->n_scores);

	for (uint32 i = 0; i < output->n_scores; i++)
	{
		double		distance = program->cells[output->scores[i]];

		PLM_CHECK_INTERRUPTS(i);
		nulls[i] = isnan(distance);
		values[i] = Float8GetDatum(distance);
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, dimensions, lower_bounds, FLOAT8OID,
											  sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Run the program on the row that was read. */
Datum
plm_prediction(const Model *model, bool *is_null)
{
	const Program *program = model->program;
	const Output *output = &program->output;

	*is_null = !plm_run(program);
	if (*is_null)
		return (Datum) 0;
	if (program->role == ROLE_PROBABILITIES)
		return probabilities(model);
	if (program->role == ROLE_DISTANCES)
		return distances(program);
	if (output->kind == OUTPUT_VALUE)
		return number(program->cells[output->scores[0]], model->return_type, is_null);
	/* a copy, since the query may need the label after the model is freed */
	return datumCopy(model->labels[plm_best_label(output, program->cells)], model->label_by_value,
					 model->label_length);
}
