/* Steps that turn a row's inputs into numbers. */
#include <math.h>

#include "dates.h"
#include "lookup.h"

enum
{
	OP_NUMBER = 1, OP_CATEGORY, OP_DATE_PART, OP_ONE_HOT, OP_IMPUTE, OP_NULL_IF, OP_IS_MISSING, OP_ARITHMETIC,
	OP_UNARY, OP_CLIP, OP_PIECEWISE_LINEAR, OP_BUCKET, OP_PRODUCT, OP_NORMALIZE
};

/* Most encoders: one slot in, up to two constants. */
typedef struct SlotStep
{
	Step		step;
	uint32		slot;
	double		a;
	double		b;
} SlotStep;

/* Encoders of one slot with a list of constants, or of a list of slots. */
typedef struct ListStep
{
	Step		step;
	uint32		slot;
	uint32		count;
	uint32	   *slots;
	double	   *x;
	double	   *y;
} ListStep;

typedef struct CategoryStep
{
	Step		step;
	uint32		source;			/* cell, or index of a text */
	bool		refuse_missing;
	bool		refuse_unseen;
	double		missing;
	double		unseen;
	Lookup	   *lookup;
	double	   *outputs;
} CategoryStep;

#define SLOT_STEP(name, expression) \
	static bool \
	name(const Step *step, double *cells, const Text *texts) \
	{ \
		const SlotStep *self = (const SlotStep *) step; \
		double		x = cells[self->slot]; \
		double		a = self->a; \
		double		b = self->b; \
		\
		(void) texts, (void) a, (void) b; \
		cells[step->out] = (expression); \
		return true; \
	}

SLOT_STEP(run_copy, x)
SLOT_STEP(run_impute, isnan(x) ? a : x)
SLOT_STEP(run_null_if, x == a ? NAN : x)
SLOT_STEP(run_is_missing, isnan(x) ? 1.0 : 0.0)
SLOT_STEP(run_add, x + a)
SLOT_STEP(run_subtract, x - a)
SLOT_STEP(run_multiply, x * a)
SLOT_STEP(run_divide, x / a)
SLOT_STEP(run_clip, x < a ? a : x > b ? b : x)
SLOT_STEP(run_abs, fabs(x))
SLOT_STEP(run_cbrt, cbrt(x))
SLOT_STEP(run_cos, cos(x))
SLOT_STEP(run_exp, exp(x))
SLOT_STEP(run_expm1, expm1(x))
SLOT_STEP(run_log, log(x))
SLOT_STEP(run_log1p, log1p(x))
SLOT_STEP(run_log2, log2(x))
SLOT_STEP(run_log10, log10(x))
SLOT_STEP(run_negative, -x)
SLOT_STEP(run_sign, x > 0 ? 1.0 : x < 0 ? -1.0 : x + 0.0)
SLOT_STEP(run_sin, sin(x))
SLOT_STEP(run_sqrt, sqrt(x))
SLOT_STEP(run_square, x * x)
SLOT_STEP(run_tanh, tanh(x))
/* beyond 1e154 the square overflows; the limit is reached long before */
SLOT_STEP(run_smooth_clip, fabs(x) > 1e100 ? copysign(3.0, x) : x / sqrt(1.0 + (x / 3.0) * (x / 3.0)))

static const StepRun unary_functions[] = {
	run_abs, run_cbrt, run_cos, run_exp, run_expm1, run_log, run_log1p, run_log2, run_log10, run_negative,
	run_sign, run_sin, run_sqrt, run_square, run_tanh, run_smooth_clip
};

static const StepRun arithmetic_functions[] = {run_add, run_subtract, run_multiply, run_divide};

static bool
put_category(const CategoryStep *self, double *cells, bool missing, uint32 position)
{
	double	   *out = &cells[self->step.out];

	if (missing)
		*out = self->missing;
	else if (position == NOT_FOUND)
		*out = self->unseen;
	else
	{
		*out = self->outputs[position];
		return true;
	}
	return !(missing ? self->refuse_missing : self->refuse_unseen);
}

static bool
run_text_category(const Step *step, double *cells, const Text *texts)
{
	const CategoryStep *self = (const CategoryStep *) step;
	Text		value = texts[self->source];
	bool		missing = value.bytes == NULL;

	return put_category(self, cells, missing, missing ? NOT_FOUND : plm_find_text(self->lookup, value));
}

static bool
run_number_category(const Step *step, double *cells, const Text *texts)
{
	const CategoryStep *self = (const CategoryStep *) step;
	double		value = cells[self->source];
	bool		missing = isnan(value);

	(void) texts;
	return put_category(self, cells, missing, missing ? NOT_FOUND : plm_find_number(self->lookup, value));
}

#define DATE_STEP(name, part_function) \
	static bool \
	name(const Step *step, double *cells, const Text *texts) \
	{ \
		const SlotStep *self = (const SlotStep *) step; \
		int64		time; \
		\
		(void) texts; \
		memcpy(&time, &cells[self->slot], sizeof(time)); \
		cells[step->out] = part_function(time, (DatePart) self->a); \
		return true; \
	}

DATE_STEP(run_day_part, plm_day_part)
DATE_STEP(run_time_part, plm_time_part)
DATE_STEP(run_instant_part, plm_instant_part)

static bool
run_one_hot(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		x = cells[self->slot];
	double	   *out = &cells[step->out];

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
		out[i] = x == self->x[i] ? 1.0 : 0.0;
	return true;
}

/* How many of the increasing values are <= x; x is a number. */
static uint32
count_not_above(const double *values, uint32 count, double x)
{
	uint32		low = 0;

	while (count > 0)
	{
		uint32		half = count / 2;

		if (values[low + half] <= x)
		{
			low += half + 1;
			count -= half + 1;
		}
		else
			count = half;
	}
	return low;
}

static bool
run_piecewise_linear(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	const double *xs = self->x;
	const double *ys = self->y;
	double		x = cells[self->slot];
	double		y = x;

	(void) texts;
	if (!isnan(x))
	{
		uint32		above = count_not_above(xs, self->count, x);

		if (above == 0)
			y = ys[0];
		else if (above == self->count)
			y = ys[above - 1];
		else
		{
			uint32		j = above - 1;
			double		slope = (ys[j + 1] - ys[j]) / (xs[j + 1] - xs[j]);

			y = slope * (x - xs[j]) + ys[j];
		}
	}
	cells[step->out] = y;
	return true;
}

static bool
run_bucket(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		x = cells[self->slot];

	(void) texts;
	cells[step->out] = isnan(x) ? x : (double) count_not_above(self->x, self->count, x);
	return true;
}

static bool
run_product(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		product = cells[self->slots[0]];

	(void) texts;
	for (uint32 i = 1; i < self->count; i++)
		product *= cells[self->slots[i]];
	cells[step->out] = product;
	return true;
}

static void
divide_by_norm(const ListStep *self, double *cells, double norm)
{
	double	   *out = &cells[self->step.out];

	for (uint32 i = 0; i < self->count; i++)
		out[i] = norm == 0 ? cells[self->slots[i]] : cells[self->slots[i]] / norm;
}

static bool
run_normalize_l1(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		norm = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
		norm += fabs(cells[self->slots[i]]);
	divide_by_norm(self, cells, norm);
	return true;
}

static bool
run_normalize_l2(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		norm = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
		norm += cells[self->slots[i]] * cells[self->slots[i]];
	divide_by_norm(self, cells, sqrt(norm));
	return true;
}

static bool
run_normalize_max(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		norm = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
	{
		double		size = fabs(cells[self->slots[i]]);

		/* a NaN is kept, as numpy.max keeps it */
		norm = size > norm || isnan(size) ? size : norm;
	}
	divide_by_norm(self, cells, norm);
	return true;
}

static Step *
parse_number(StepParser *parser)
{
	uint32		index = read_below(&parser->reader, parser->program->n_inputs, "an input");
	Input	   *input = &parser->program->inputs[index];
	SlotStep   *self = plm_new_step(parser, sizeof(SlotStep), run_copy, 1);

	if (input->kind == INPUT_TEXT)
		plm_reject("a text input is read as a number");
	if (input->number_cell == NO_CELL)
	{
		input->number_cell = parser->out;
		self->step.run = NULL;
	}
	self->slot = input->number_cell;
	return &self->step;
}

static double *
parse_category_values(StepParser *parser, CategoryStep *self, bool is_text)
{
	Reader	   *reader = &parser->reader;
	uint32		count = read_count(reader, is_text ? 12 : 16);

	if (is_text)
	{
		Text	   *values = plm_alloc(sizeof(Text) * (size_t) count);

		for (uint32 i = 0; i < count; i++)
		{
			values[i].length = read_count(reader, 1);
			values[i].bytes = (const char *) read_bytes(reader, values[i].length);
			values[i] = plm_server_text(values[i]);
		}
		self->lookup = plm_text_lookup(values, count);
	}
	else
		self->lookup = plm_number_lookup(read_doubles(reader, count), count);
	return read_doubles(reader, count);
}

static Step *
parse_category(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	uint32		index = read_below(reader, parser->program->n_inputs, "an input");
	Input	   *input = &parser->program->inputs[index];
	bool		is_text = input->kind == INPUT_TEXT;
	CategoryStep *self = plm_new_step(parser, sizeof(CategoryStep),
									  is_text ? run_text_category : run_number_category, 1);

	self->source = is_text ? input->text : plm_input_number_cell(parser, index);
	input->text_read = is_text;
	if ((read_u8(reader) != 0) != is_text)
		plm_reject("a category's values do not match its input");
	self->refuse_missing = read_u8(reader) != 0;
	self->refuse_unseen = read_u8(reader) != 0;
	self->missing = read_f64(reader);
	self->unseen = read_f64(reader);
	self->outputs = parse_category_values(parser, self, is_text);
	return &self->step;
}

static Step *
parse_date_part(StepParser *parser)
{
	uint32		index = read_below(&parser->reader, parser->program->n_inputs, "an input");
	Input	   *input = &parser->program->inputs[index];
	uint8		part = read_u8(&parser->reader);
	StepRun		run = input->kind == INPUT_DATE ? run_day_part :
		input->kind == INPUT_TIME ? run_time_part : run_instant_part;
	SlotStep   *self = plm_new_step(parser, sizeof(SlotStep), run, 1);

	if (input->kind < INPUT_DATE || part >= N_DATE_PARTS || (input->kind == INPUT_TIME && part < PART_HOUR))
		plm_reject("it asks for a part that an input does not have");
	if (input->time_cell == NO_CELL)
		input->time_cell = parser->program->n_slots + parser->program->n_cells++;
	self->slot = input->time_cell;
	self->a = part;
	return &self->step;
}

static Step *
parse_slot_step(StepParser *parser, StepRun run, int n_constants)
{
	SlotStep   *self = plm_new_step(parser, sizeof(SlotStep), run, 1);

	self->slot = plm_read_slot(parser);
	if (n_constants > 0)
		self->a = read_f64(&parser->reader);
	if (n_constants > 1)
		self->b = read_f64(&parser->reader);
	return &self->step;
}

static Step *
parse_function_step(StepParser *parser, const StepRun *functions, size_t n_functions, int n_constants)
{
	uint8		function = read_u8(&parser->reader);

	if (function >= n_functions)
		plm_reject("an operation is unknown");
	return parse_slot_step(parser, functions[function], n_constants);
}

/* A slot and a list of constants: OneHot, Bucket, PiecewiseLinear. */
static Step *
parse_list_step(StepParser *parser, StepRun run, bool has_y)
{
	uint32		slot = plm_read_slot(parser);
	uint32		count = read_count(&parser->reader, has_y ? 16 : 8);
	ListStep   *self = plm_new_step(parser, sizeof(ListStep), run, run == run_one_hot ? count : 1);

	if (has_y && count == 0)
		plm_reject("a list is empty");
	self->slot = slot;
	self->count = count;
	self->x = read_doubles(&parser->reader, count);
	if (has_y)
		self->y = read_doubles(&parser->reader, count);
	return &self->step;
}

/* A list of slots: Product, Normalize. */
static Step *
parse_slots_step(StepParser *parser, StepRun run, bool one_output)
{
	uint32		count;
	uint32	   *slots = plm_read_slots(parser, &count);
	ListStep   *self = plm_new_step(parser, sizeof(ListStep), run, one_output ? 1 : count);

	self->count = count;
	self->slots = slots;
	return &self->step;
}

static Step *
parse_normalize(StepParser *parser)
{
	static const StepRun norms[] = {run_normalize_l1, run_normalize_l2, run_normalize_max};
	uint8		norm = read_u8(&parser->reader);

	if (norm >= lengthof(norms))
		plm_reject("a norm is unknown");
	return parse_slots_step(parser, norms[norm], false);
}

Step *
plm_parse_encoder(StepParser *parser, uint8 opcode)
{
	switch (opcode)
	{
		case OP_NUMBER:
			return parse_number(parser);
		case OP_CATEGORY:
			return parse_category(parser);
		case OP_DATE_PART:
			return parse_date_part(parser);
		case OP_ONE_HOT:
			return parse_list_step(parser, run_one_hot, false);
		case OP_IMPUTE:
			return parse_slot_step(parser, run_impute, 1);
		case OP_NULL_IF:
			return parse_slot_step(parser, run_null_if, 1);
		case OP_IS_MISSING:
			return parse_slot_step(parser, run_is_missing, 0);
		case OP_ARITHMETIC:
			return parse_function_step(parser, arithmetic_functions, lengthof(arithmetic_functions), 1);
		case OP_UNARY:
			return parse_function_step(parser, unary_functions, lengthof(unary_functions), 0);
		case OP_CLIP:
			return parse_slot_step(parser, run_clip, 2);
		case OP_PIECEWISE_LINEAR:
			return parse_list_step(parser, run_piecewise_linear, true);
		case OP_BUCKET:
			return parse_list_step(parser, run_bucket, false);
		case OP_PRODUCT:
			return parse_slots_step(parser, run_product, true);
		case OP_NORMALIZE:
			return parse_normalize(parser);
		default:
			plm_reject_unsupported("a step's code is %u, which this library does not know", opcode);
	}
}
