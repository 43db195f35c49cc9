/* From thresholds to columns of ranks, and the codes that splits read them by. */
#include <math.h>
#include <stdlib.h>

#include "ranker.h"

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

static uint32
n_columns_of(const Thresholds *thresholds)
{
	return (thresholds->count + MAX_RANK - 1) / MAX_RANK;
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

static int
compare_keys(const void *left, const void *right)
{
	uint64		a = *(const uint64 *) left;
	uint64		b = *(const uint64 *) right;

	/* an order of thresholds that sorting takes long for can be made up */
	CHECK_FOR_INTERRUPTS();
	return (a > b) - (a < b);
}

/* Have all of the feature's thresholds increase, each once. */
static void
settle(Ranker *self, Thresholds *thresholds)
{
	uint64	   *values = thresholds->values;
	uint32		n_values = thresholds->count + thresholds->n_new;
	uint32		count = 0;

	if (thresholds->n_new == 0)
		return;
	qsort(values, n_values, sizeof(uint64), compare_keys);
	for (uint32 i = 0; i < n_values; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (count == 0 || values[i] != values[count - 1])
			values[count++] = values[i];
	}
	self->n_thresholds += count - thresholds->count;
	thresholds->count = count;
	thresholds->n_new = 0;
}

static void
grow(Thresholds *thresholds)
{
	uint32		capacity = Max(4, 2 * thresholds->capacity);
	uint64	   *values = plm_alloc(sizeof(uint64) * capacity);

	if (thresholds->capacity > 0)
	{
		memcpy(values, thresholds->values, sizeof(uint64) * thresholds->count);
		plm_free(thresholds->values);
	}
	thresholds->values = values;
	thresholds->capacity = capacity;
}

/* Note a threshold: sorted in when as many have gathered as there were, so that all take n log n steps. */
static void
note(Ranker *self, Thresholds *thresholds, uint64 threshold)
{
	uint32		position = position_of(thresholds, threshold);

	if (position < thresholds->count && thresholds->values[position] == threshold)
		return;
	if (thresholds->count + thresholds->n_new == thresholds->capacity)
	{
		settle(self, thresholds);
		if (thresholds->count >= thresholds->capacity / 2)
			grow(thresholds);
	}
	thresholds->values[thresholds->count + thresholds->n_new++] = threshold;
}

/* Each feature's different thresholds, in order; false where they need more columns than there are codes. */
bool
plm_collect_thresholds(Ranker *self)
{
	const Ensemble *ensemble = self->ensemble;
	uint32		n_columns = 0;

	for (uint32 i = 0; i < ensemble->n_nodes; i++)
	{
		const Node *node = &ensemble->nodes[i];
		Thresholds *thresholds = &self->thresholds[node->key / 2];

		PLM_CHECK_INTERRUPTS(i);
		if (is_leaf(node))
			continue;
		/* x < -infinity, which no number is: there is no greatest number that goes left */
		if (isnan(number_of(ensemble, node->threshold)))
			return false;
		note(self, thresholds, node->threshold);
		if (self->n_thresholds > MAX_CODES * MAX_RANK)
			return false;
	}
	for (uint32 feature = 0; feature < ensemble->n_features; feature++)
	{
		settle(self, &self->thresholds[feature]);
		n_columns += n_columns_of(&self->thresholds[feature]);
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

/* The code that a split reads its column's rank by. */
static uint32 *
code_of(Column *column, const Node *node)
{
	return node->key & 1 ? &column->left_code : &column->right_code;
}

Split
plm_split_of(const Ranker *self, const Node *node)
{
	uint32		rank;
	uint32		column = column_of(self, node, &rank);
	Split		split;

	split.rank = (uint8) rank;
	split.code = (uint8) *code_of(&self->ranked->columns[column], node);
	return split;
}

/* Share each feature's thresholds out among columns, and lay out the tables. */
static void
make_columns(Ranker *self)
{
	Ranked	   *ranked = self->ranked;
	uint32		n_features = self->ensemble->n_features;
	uint32		n_columns = 0;

	for (uint32 feature = 0; feature < n_features; feature++)
		n_columns += n_columns_of(&self->thresholds[feature]);
	ranked->columns = plm_alloc(sizeof(Column) * n_columns);
	self->table_size = RUN;
	for (uint32 feature = 0; feature < n_features; feature++)
	{
		Thresholds *thresholds = &self->thresholds[feature];
		uint32		n_shares = n_columns_of(thresholds);
		uint32		n_runs;

		thresholds->first_column = ranked->n_columns;
		thresholds->share = (thresholds->count + n_shares - 1) / n_shares;
		/* one more than needed where the last run is full: what is beyond all is compared there */
		n_runs = thresholds->share / RUN + 1;
		for (uint32 i = 0; i < n_shares; i++)
		{
			Column	   *column = &ranked->columns[ranked->n_columns++];

			column->feature = feature;
			column->left_code = column->right_code = MAX_CODES;
			column->pivots = n_runs == 1 ? 0 : self->table_size;
			self->table_size += n_runs == 1 ? 0 : RUN;
			column->thresholds = self->table_size;
			self->table_size += RUN * n_runs;
		}
	}
}

/* Columns and codes; false where there are too many. */
bool
plm_assign_codes(Ranker *self)
{
	const Ensemble *ensemble = self->ensemble;
	Ranked	   *ranked = self->ranked;

	make_columns(self);
	for (uint32 i = 0; i < ensemble->n_nodes; i++)
	{
		const Node *node = &ensemble->nodes[i];
		uint32		rank;
		uint32	   *code;

		PLM_CHECK_INTERRUPTS(i);
		if (is_leaf(node))
			continue;
		code = code_of(&ranked->columns[column_of(self, node, &rank)], node);
		if (*code == MAX_CODES)
		{
			if (ranked->n_codes == MAX_CODES)
				return false;
			*code = ranked->n_codes++;
		}
	}
	return true;
}

size_t
plm_rank_tables_size(const Ranker *self)
{
	return self->table_size * (self->ensemble->single_splits ? sizeof(float) : sizeof(double));
}

static void
put(const Ranker *self, uint32 position, double value)
{
	if (self->ensemble->single_splits)
		self->ranked->singles[position] = (float) value;
	else
		self->ranked->doubles[position] = value;
}

static void
fill_column(const Ranker *self, uint32 number)
{
	const Column *column = &self->ranked->columns[number];
	const Thresholds *thresholds = &self->thresholds[column->feature];
	uint32		first = (number - thresholds->first_column) * thresholds->share;
	uint32		count = Min(thresholds->share, thresholds->count - first);

	for (uint32 i = 0; i < count; i++)
	{
		double		value = number_of(self->ensemble, thresholds->values[first + i]);

		put(self, column->thresholds + i, value);
		if (i % RUN == RUN - 1)
			put(self, column->pivots + i / RUN, value);
	}
}

/* Search tables for the rows' ranks: nothing is greater than the infinity that fills them up. */
void
plm_make_rank_tables(Ranker *self)
{
	if (self->ensemble->single_splits)
		self->ranked->singles = plm_alloc(plm_rank_tables_size(self));
	else
		self->ranked->doubles = plm_alloc(plm_rank_tables_size(self));
	for (uint32 i = 0; i < self->table_size; i++)
		put(self, i, INFINITY);
	for (uint32 i = 0; i < self->ranked->n_columns; i++)
		fill_column(self, i);
}
