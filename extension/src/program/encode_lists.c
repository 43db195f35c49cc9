/* Steps with a list of constants or of slots. */
#include <math.h>

#include "encode.h"

/* One slot and a list of constants, or a list of slots. */
typedef struct ListStep
{
	Step		step;
	uint32		slot;
	uint32		count;
	uint32	   *slots;
	double	   *x;
	double	   *y;
} ListStep;

static bool
run_one_hot(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		x = cells[self->slot];
	double	   *out = &cells[step->out];

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		out[i] = x == self->x[i] ? 1.0 : 0.0;
	}
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
	{
		PLM_CHECK_INTERRUPTS(i);
		product *= cells[self->slots[i]];
	}
	cells[step->out] = product;
	return true;
}

static void
divide_by_norm(const ListStep *self, double *cells, double norm)
{
	double	   *out = &cells[self->step.out];

	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		out[i] = norm == 0 ? cells[self->slots[i]] : cells[self->slots[i]] / norm;
	}
}

static bool
run_normalize_l1(const Step *step, double *cells, const Text *texts)
{
	const ListStep *self = (const ListStep *) step;
	double		norm = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		norm += fabs(cells[self->slots[i]]);
	}
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
	{
		PLM_CHECK_INTERRUPTS(i);
		norm += cells[self->slots[i]] * cells[self->slots[i]];
	}
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

		PLM_CHECK_INTERRUPTS(i);
		/* a NaN is kept, as numpy.max keeps it */
		norm = size > norm || isnan(size) ? size : norm;
	}
	divide_by_norm(self, cells, norm);
	return true;
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

Step *
plm_parse_normalize(StepParser *parser)
{
	static const StepRun norms[] = {run_normalize_l1, run_normalize_l2, run_normalize_max};
	uint8		norm = read_u8(&parser->reader);

	if (norm >= lengthof(norms))
		plm_reject("a norm is unknown");
	return parse_slots_step(parser, norms[norm], false);
}

Step *
plm_parse_one_hot(StepParser *parser)
{
	return parse_list_step(parser, run_one_hot, false);
}

Step *
plm_parse_piecewise_linear(StepParser *parser)
{
	return parse_list_step(parser, run_piecewise_linear, true);
}

Step *
plm_parse_bucket(StepParser *parser)
{
	return parse_list_step(parser, run_bucket, false);
}

Step *
plm_parse_product(StepParser *parser)
{
	return parse_slots_step(parser, run_product, true);
}
