/* Sums of points that stand in tables: additive models. */
#include <math.h>

#include "score.h"

typedef struct Axis
{
	uint32		slot;
	uint32		n_edges;
	double	   *edges;			/* increasing; bins are n_edges + 2, the last one is NaN's */
} Axis;

typedef struct Table
{
	uint32		first;			/* axis */
	uint32		second;			/* axis, or NO_AXIS */
	uint32		n_cells;
	double	   *points;			/* [output][cell] */
} Table;

#define NO_AXIS UINT32_MAX

typedef struct TableSumStep
{
	Step		step;
	uint32		n_axes;
	Axis	   *axes;
	uint32	   *bins;			/* of the row, by axis */
	uint32		n_tables;
	Table	   *tables;
	double	   *intercepts;
} TableSumStep;

/* How many of the edges are <= x; without branches that a row's values would have to predict. */
static uint32
bin_of(const Axis *axis, double x)
{
	const double *base = axis->edges;
	uint32		count = axis->n_edges;

	if (isnan(x))
		return axis->n_edges + 1;
	if (count == 0)
		return 0;
	while (count > 1)
	{
		uint32		half = count / 2;

		base = base[half - 1] <= x ? base + half : base;
		count -= half;
	}
	return (uint32) (base - axis->edges) + (*base <= x ? 1 : 0);
}

static bool
run_table_sum(const Step *step, double *cells, const Text *texts)
{
	const TableSumStep *self = (const TableSumStep *) step;

	(void) texts;
	for (uint32 i = 0; i < self->n_axes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		self->bins[i] = bin_of(&self->axes[i], cells[self->axes[i].slot]);
	}
	for (uint32 k = 0; k < step->width; k++)
	{
		double		sum = self->intercepts[k];

		PLM_CHECK_INTERRUPTS(k);
		for (uint32 i = 0; i < self->n_tables; i++)
		{
			const Table *table = &self->tables[i];
			size_t		cell = self->bins[table->first];

			PLM_CHECK_INTERRUPTS(i);
			if (table->second != NO_AXIS)
				cell = cell * (self->axes[table->second].n_edges + 2) + self->bins[table->second];
			sum += table->points[(size_t) k * table->n_cells + cell];
		}
		cells[step->out + k] = sum;
	}
	return true;
}

static double *
read_finite(Reader *reader, uint32 count, bool increasing, const char *what)
{
	double	   *values;

	if (count > (size_t) (reader->end - reader->position) / 8)
		plm_reject("a count is greater than the body can hold");
	values = read_doubles(reader, count);
	for (uint32 i = 0; i < count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (!isfinite(values[i]) || (increasing && i > 0 && values[i] <= values[i - 1]))
			plm_reject("%s are not finite, or not increasing", what);
	}
	return values;
}

static void
parse_table(StepParser *parser, TableSumStep *self, Table *table)
{
	Reader	   *reader = &parser->reader;
	uint32		n_axes = read_count(reader, 4);
	uint64		n_cells;

	if (n_axes != 1 && n_axes != 2)
		plm_reject("a table has neither one axis nor two");
	table->first = read_below(reader, self->n_axes, "an axis");
	table->second = n_axes == 2 ? read_below(reader, self->n_axes, "an axis") : NO_AXIS;
	n_cells = (uint64) self->axes[table->first].n_edges + 2;
	if (n_axes == 2)
		n_cells *= (uint64) self->axes[table->second].n_edges + 2;
	/* two factors of at most 2^29 each, from edges that the body holds: no product of three overflows */
	if (n_cells > UINT32_MAX || n_cells * self->step.width > UINT32_MAX)
		plm_reject("a count is greater than the body can hold");
	table->n_cells = (uint32) n_cells;
	table->points = read_finite(reader, table->n_cells * self->step.width, false, "points");
}

Step *
plm_parse_table_sum(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	uint32		n_axes = read_count(reader, 8);
	Axis	   *axes = plm_alloc(sizeof(Axis) * (size_t) n_axes);
	uint32	   *slots = read_indexes(reader, n_axes, parser->out, "a slot");
	uint32		width;
	TableSumStep *self;

	for (uint32 i = 0; i < n_axes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		axes[i].slot = slots[i];
		axes[i].n_edges = read_count(reader, 8);
		axes[i].edges = read_finite(reader, axes[i].n_edges, true, "edges");
	}
	plm_free(slots);
	width = read_count(reader, 8);
	if (width == 0)
		plm_reject("a step has no slots");
	self = plm_new_step(parser, sizeof(TableSumStep), run_table_sum, width);
	self->n_axes = n_axes;
	self->axes = axes;
	self->bins = plm_alloc(sizeof(uint32) * (size_t) n_axes);
	self->intercepts = read_finite(reader, width, false, "intercepts");
	self->n_tables = read_count(reader, 8);
	self->tables = plm_alloc(sizeof(Table) * (size_t) self->n_tables);
	for (uint32 i = 0; i < self->n_tables; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		parse_table(parser, self, &self->tables[i]);
	}
	return &self->step;
}
