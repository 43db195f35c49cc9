/* From thresholds to columns of ranks, and the codes that splits read them by. */
#include <math.h>

#include "ranker.h"

#define N_PIVOTS 16

/*
 * The number that a key stands for (see single_key, double_key). The key below
 * that of 0 is no number's; nothing lies between 0 and the one below.
 */
static double
number_of(const Ensemble *ensemble, uint64 key)
{
	double		value;

	if (ensemble->single_splits)
	{
		uint32		bits = (uint32) key;
		float		single;

		bits -= bits == UINT32_C(0x7FFFFFFF);
		bits ^= bits & UINT32_C(0x80000000) ? UINT32_C(0x80000000) : UINT32_MAX;
		memcpy(&single, &bits, sizeof(single));
		return single;
	}
	key -= key == UINT64_C(0x7FFFFFFFFFFFFFFF);
	key ^= key & UINT64_C(0x8000000000000000) ? UINT64_C(0x8000000000000000) : UINT64_MAX;
	memcpy(&value, &key, sizeof(value));
	return value;
}

/* How many of the feature's thresholds are less than this one. */
static uint32
position_of(const Thresholds *thresholds, uint64 threshold)
{
	uint32		low = 0;

	for (uint32 count = thresholds->count; count > 0;)
	{
		uint32		half = count / 2;

		if (thresholds->values[low + half] < threshold)
		{
			low += half + 1;
			count -= half + 1;
		}
		else
			count = half;
	}
	return low;
}

static void
insert(Thresholds *thresholds, uint32 position, uint64 threshold)
{
	if (thresholds->count == thresholds->capacity)
	{
		uint32		capacity = Max(64, 2 * thresholds->capacity);
		uint64	   *values = plm_alloc(sizeof(uint64) * capacity);

		if (thresholds->count > 0)
		{
			memcpy(values, thresholds->values, sizeof(uint64) * thresholds->count);
			plm_free(thresholds->values);
		}
		thresholds->values = values;
		thresholds->capacity = capacity;
	}
	memmove(&thresholds->values[position + 1], &thresholds->values[position],
			sizeof(uint64) * (thresholds->count - position));
	thresholds->values[position] = threshold;
	thresholds->count++;
}

/* Each feature's different thresholds, in order; false where they need more columns than there are codes. */
bool
plm_collect_thresholds(Ranker *self)
{
	const Ensemble *ensemble = self->ensemble;

	/* a feature that splits has one column, and one more for each MAX_RANK thresholds */
	uint32		n_columns = ensemble->n_features;

	for (uint32 i = 0; i < ensemble->n_nodes && n_columns <= MAX_CODES; i++)
	{
		const Node *node = &ensemble->nodes[i];
		Thresholds *thresholds = &self->thresholds[node->key / 2];
		uint32		position;

		if (is_leaf(node))
			continue;
		/* x < -infinity, which no number is: there is no greatest number that goes left */
		if (isnan(number_of(ensemble, node->threshold)))
			return false;
		position = position_of(thresholds, node->threshold);
		if (position < thresholds->count && thresholds->values[position] == node->threshold)
			continue;
		if (thresholds->count > 0 && thresholds->count % MAX_RANK == 0)
			n_columns++;
		insert(thresholds, position, node->threshold);
	}
	return n_columns <= MAX_CODES;
}

static uint32
column_of(const Ranker *self, const Node *node, uint32 *rank)
{
	const Thresholds *thresholds = &self->thresholds[node->key / 2];
	uint32		position = position_of(thresholds, node->threshold);

	*rank = position % thresholds->share;
	return thresholds->first_column + position / thresholds->share;
}

Split
plm_split_of(const Ranker *self, const Node *node)
{
	const Ranked *ranked = self->ranked;
	uint32		rank;
	uint32		column = column_of(self, node, &rank);
	Split		split;

	split.rank = (uint8) rank;
	split.code = (uint8) (node->key & 1 ? ranked->left_codes : ranked->right_codes)[column];
	return split;
}

/* Columns and codes; false where there are too many. */
bool
plm_assign_codes(Ranker *self)
{
	const Ensemble *ensemble = self->ensemble;
	Ranked	   *ranked = self->ranked;
	size_t		size = sizeof(uint32) * 2 * MAX_CODES;

	ranked->features = plm_alloc(size);
	ranked->left_codes = plm_alloc(size);
	ranked->right_codes = plm_alloc(size);
	for (uint32 feature = 0; feature < ensemble->n_features; feature++)
	{
		Thresholds *thresholds = &self->thresholds[feature];
		uint32		n_columns = (thresholds->count + MAX_RANK - 1) / MAX_RANK;

		thresholds->first_column = ranked->n_columns;
		thresholds->share = (thresholds->count + n_columns - 1) / n_columns;
		for (uint32 i = 0; i < n_columns; i++)
		{
			ranked->left_codes[ranked->n_columns] = ranked->right_codes[ranked->n_columns] = MAX_CODES;
			ranked->features[ranked->n_columns++] = feature;
		}
	}
	for (uint32 i = 0; i < ensemble->n_nodes; i++)
	{
		const Node *node = &ensemble->nodes[i];
		uint32		rank;
		uint32	   *code;

		if (is_leaf(node))
			continue;
		code = &(node->key & 1 ? ranked->left_codes : ranked->right_codes)[column_of(self, node, &rank)];
		if (*code == MAX_CODES)
		{
			if (ranked->n_codes == MAX_CODES)
				return false;
			*code = ranked->n_codes++;
		}
	}
	return true;
}

/* Search tables for the rows' ranks: nothing is greater than the infinity that fills them up. */
void
plm_make_rank_tables(Ranker *self)
{
	Ranked	   *ranked = self->ranked;
	bool		single = self->ensemble->single_splits;
	size_t		n_columns = ranked->n_columns;
	size_t		n_thresholds = n_columns * (MAX_RANK + 1);

	ranked->single_thresholds = plm_alloc(single ? sizeof(float) * n_thresholds : 0);
	ranked->single_pivots = plm_alloc(single ? sizeof(float) * n_columns * N_PIVOTS : 0);
	ranked->double_thresholds = plm_alloc(single ? 0 : sizeof(double) * n_thresholds);
	ranked->double_pivots = plm_alloc(single ? 0 : sizeof(double) * n_columns * N_PIVOTS);
	for (size_t i = 0; i < n_thresholds; i++)
	{
		size_t		column = i / (MAX_RANK + 1);
		const Thresholds *thresholds = &self->thresholds[ranked->features[column]];
		size_t		within = i % (MAX_RANK + 1);
		size_t		position = (column - thresholds->first_column) * thresholds->share + within;
		bool		filled = within < thresholds->share && position < thresholds->count;
		double		value = filled ? number_of(self->ensemble, thresholds->values[position]) : INFINITY;
		bool		is_pivot = i % N_PIVOTS == N_PIVOTS - 1;

		if (single)
			ranked->single_thresholds[i] = (float) value;
		else
			ranked->double_thresholds[i] = value;
		if (is_pivot && single)
			ranked->single_pivots[i / N_PIVOTS] = (float) value;
		else if (is_pivot)
			ranked->double_pivots[i / N_PIVOTS] = value;
	}
}
