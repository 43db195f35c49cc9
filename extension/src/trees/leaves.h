/* Adding the leaves that a group of trees ended in, in tree order: the same for every kernel. */
#ifndef PLMODEL_LEAVES_H
#define PLMODEL_LEAVES_H

#include "ensemble.h"

PLM_INLINE double
leaf_double(uint64 payload)
{
	double		value;

	memcpy(&value, &payload, sizeof(value));
	return value;
}

/* Trees of one output each, all the same one (sums[0]) or each its own. */
PLM_INLINE void
add_doubles(Ensemble *ensemble, uint32 tree, const uint64 *payloads, uint32 count)
{
	for (uint32 i = 0; i < count; i++)
	{
		uint32		output = ensemble->outputs[tree + i];

		if (ensemble->single_sums)
			ensemble->single[output] += (float) leaf_double(payloads[i]);
		else
			ensemble->sums[output] += leaf_double(payloads[i]);
	}
}

PLM_INLINE void
add_singles(Ensemble *ensemble, uint32 tree, const uint32 *payloads, uint32 count)
{
	/* a sum in a register: through memory each addition would wait for the last one's store */
	if (ensemble->step.width == 1)
	{
		float		sum = ensemble->single[0];

		for (uint32 i = 0; i < count; i++)
		{
			float		value;

			memcpy(&value, &payloads[i], sizeof(value));
			sum += value;
		}
		ensemble->single[0] = sum;
		return;
	}
	for (uint32 i = 0; i < count; i++)
	{
		float		value;

		memcpy(&value, &payloads[i], sizeof(value));
		ensemble->single[ensemble->outputs[tree + i]] += value;
	}
}

/* payloads: positions in values */
PLM_INLINE void
add_indirect(Ensemble *ensemble, uint32 tree, const double *values, const uint32 *payloads, uint32 count)
{
	if (ensemble->step.width == 1)
	{
		double		sum = ensemble->sums[0];

		for (uint32 i = 0; i < count; i++)
			sum += values[payloads[i]];
		ensemble->sums[0] = sum;
		return;
	}
	for (uint32 i = 0; i < count; i++)
		ensemble->sums[ensemble->outputs[tree + i]] += values[payloads[i]];
}

/* payload: where the leaf's values begin */
static inline void
add_vector(Ensemble *ensemble, uint32 tree, size_t payload)
{
	const double *values = &ensemble->leaf_values[payload];
	const uint32 *outputs = ensemble->tree_outputs[tree];
	uint32		n_outputs = ensemble->n_tree_outputs[tree];

	for (uint32 o = 0; o < n_outputs; o++)
	{
		PLM_CHECK_INTERRUPTS(o);
		if (ensemble->single_sums)
			ensemble->single[outputs[o]] += (float) values[o];
		else
			ensemble->sums[outputs[o]] += values[o];
	}
}

#endif
