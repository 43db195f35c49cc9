/* Steps that read inputs: numbers, categories, parts of dates. */
#include <math.h>

#include "dates.h"
#include "encode.h"
#include "lookup.h"

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

static bool
run_copy(const Step *step, double *cells, const Text *texts)
{
	const SlotStep *self = (const SlotStep *) step;

	(void) texts;
	cells[step->out] = cells[self->slot];
	return true;
}

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

Step *
plm_parse_number(StepParser *parser)
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
			PLM_CHECK_INTERRUPTS(i);
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

Step *
plm_parse_category(StepParser *parser)
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

Step *
plm_parse_date_part(StepParser *parser)
{
	uint32		index = read_below(&parser->reader, parser->program->n_inputs, "an input");
	Input	   *input = &parser->program->inputs[index];
	uint8		part = read_u8(&parser->reader);
	StepRun		run = input->kind == INPUT_DATE ? run_day_part :
		input->kind == INPUT_TIME ? run_time_part : run_instant_part;
	SlotStep   *self = plm_new_step(parser, sizeof(SlotStep), run, 1);

	if (input->kind < INPUT_DATE || part >= N_DATE_PARTS || (input->kind == INPUT_TIME && part < PART_HOUR))
		plm_reject("it asks for a part of a date or time that the input does not have");
	if (input->time_cell == NO_CELL)
		input->time_cell = parser->program->n_slots + parser->program->n_cells++;
	self->slot = input->time_cell;
	self->a = part;
	return &self->step;
}
