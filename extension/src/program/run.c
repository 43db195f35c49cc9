#include "run.h"

#include <math.h>

/* Run a program on the row in its cells and texts; false: the prediction is NULL. */
bool
plm_run(const Program *program)
{
	double	   *cells = program->cells;

	for (uint32 i = 0; i < program->n_steps; i++)
	{
		const Step *step = program->steps[i];

		PLM_CHECK_INTERRUPTS(i);
		if (!step->run(step, cells, program->texts))
			return false;
	}
	for (uint32 i = 0; i < program->n_refusals; i++)
	{
		const Refusal *refusal = &program->refusals[i];
		double		value = cells[refusal->slot];

		PLM_CHECK_INTERRUPTS(i);
		/* a NaN is not above any limit */
		if ((refusal->missing && isnan(value)) || fabs(value) > refusal->above)
			return false;
	}
	return true;
}

/*
 * Position of the label that the row's scores choose; among equals the first.
 * Of classes a NaN is taken before all; of clusters nothing is less than a NaN
 * and a NaN is less than nothing, as scikit-learn compares.
 */
uint32
plm_best_label(const Output *output, const double *cells)
{
	double		best = cells[output->scores[0]];
	uint32		label = 0;

	if (output->kind == OUTPUT_BINARY)
		return output->or_equal ? best >= output->threshold : best > output->threshold;
	for (uint32 i = 1; i < output->n_scores && !isnan(best); i++)
	{
		double		score = cells[output->scores[i]];

		PLM_CHECK_INTERRUPTS(i);
		if (output->kind == OUTPUT_CLUSTER ? score < best : score > best || isnan(score))
		{
			best = score;
			label = i;
		}
	}
	return label;
}
