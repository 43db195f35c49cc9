/* Weighted sums of groups of slots, position by position: several models' outputs blended. */
#include "score.h"

typedef struct WeightedSumStep
{
	Step		step;
	uint32		n_groups;
	double	   *weights;
	uint32	   *slots;			/* [group][position] */
} WeightedSumStep;

static bool
run_weighted_sum(const Step *step, double *cells, const Text *texts)
{
	const WeightedSumStep *self = (const WeightedSumStep *) step;
	double	   *out = &cells[step->out];

	(void) texts;
	for (uint32 i = 0; i < step->width; i++)
	{
		double		sum = 0;

		PLM_CHECK_INTERRUPTS(i);
		for (uint32 g = 0; g < self->n_groups; g++)
		{
			PLM_CHECK_INTERRUPTS(g);
			sum += self->weights[g] * cells[self->slots[(size_t) g * step->width + i]];
		}
		out[i] = sum;
	}
	return true;
}

Step *
plm_parse_weighted_sum(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	uint32		n_groups = read_count(reader, 8);
	uint32		width = read_count(reader, 4);
	WeightedSumStep *self = plm_new_step(parser, sizeof(WeightedSumStep), run_weighted_sum, width);

	if (n_groups == 0 || width == 0)
		plm_reject("a step has no slots");
	self->n_groups = n_groups;
	self->weights = read_doubles(reader, n_groups);
	if ((uint64) n_groups * width > (size_t) (reader->end - reader->position) / 4)
		plm_reject("a count is greater than the body can hold");
	self->slots = read_indexes(reader, n_groups * width, parser->out, "a slot");
	return &self->step;
}
