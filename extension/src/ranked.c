#include "ranked.h"

#include <math.h>

#define N_PIVOTS 16

/* A feature's different thresholds, and the columns that share them out. */
typedef struct Thresholds
{
	uint64	   *values;			/* increasing */
	uint32		count;
	uint32		capacity;
	uint32		first_column;
	uint32		share;			/* of one column */
} Thresholds;

typedef struct Ranker
{
	Ensemble   *ensemble;
	Ranked	   *ranked;
	Thresholds *thresholds;		/* [feature] */
	uint32	   *sources;		/* ranked node: the tree's node it was made of */
	uint32		n_nodes;
	uint32		n_values;
} Ranker;

/* What a split compares: code > rank. */
typedef struct Split
{
	uint8		rank;
	uint8		code;
} Split;

static bool
is_leaf(const Node *node)
{
	return node->left == 0;
}

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

/* The different thresholds of each feature, in order; false where they need more columns than there are codes. */
static bool
collect_thresholds(Ranker *self)
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
		/* x < -infinity: no number is less than the threshold, and none is the greatest that x is beyond */
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

static Split
split_of(const Ranker *self, const Node *node)
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
static bool
assign_codes(Ranker *self)
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
static void
make_tables(Ranker *self)
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

static uint32
payload_of(Ranker *self, const Node *leaf)
{
	const Ensemble *ensemble = self->ensemble;
	double		value;
	float		single;
	uint32		payload;

	if (ensemble->vector_leaves)
		return (uint32) leaf->threshold;
	memcpy(&value, &leaf->threshold, sizeof(value));
	if (!ensemble->single_sums)
	{
		self->ranked->values[self->n_values] = value;
		return self->n_values++;
	}
	single = (float) value;
	memcpy(&payload, &single, sizeof(payload));
	return payload;
}

/* Copy a node and all below it, breadth first; returns its new number. */
static uint32
copy_subtree(Ranker *self, uint32 source)
{
	uint32		first = self->n_nodes;

	self->sources[self->n_nodes++] = source;
	for (uint32 i = first; i < self->n_nodes; i++)
	{
		const Node *node = &self->ensemble->nodes[self->sources[i]];
		RankedNode *copy = &self->ranked->nodes[i];
		Split		split;

		copy->rank = MAX_RANK;	/* a leaf: no rank is greater */
		if (is_leaf(node))
		{
			copy->payload = payload_of(self, node);
			continue;
		}
		split = split_of(self, node);
		copy->rank = split.rank;
		copy->code = split.code;
		copy->left = (uint16) (self->n_nodes - i);
		self->sources[self->n_nodes++] = self->sources[i] + node->left;
		self->sources[self->n_nodes++] = self->sources[i] + node->left + 1;
	}
	return first;
}

/* A node's children; a leaf's are the leaf itself. */
static void
put_children(const Ranker *self, uint32 source, uint32 *children)
{
	const Node *node = &self->ensemble->nodes[source];

	children[0] = source + node->left;
	children[1] = source + (is_leaf(node) ? 0 : node->left + 1);
}

/* What to compare at a place of a full tree: nothing is beyond the rank that stands where it is filled up. */
static Split
split_at(const Ranker *self, uint32 source)
{
	const Node *node = &self->ensemble->nodes[source];
	Split		nowhere = {MAX_RANK, 0};

	return is_leaf(node) ? nowhere : split_of(self, node);
}

static void
fill_chunk(Ranker *self, uint8 *chunk, uint32 n_levels, uint32 source)
{
	uint32		n_leaves = UINT32_C(1) << n_levels;
	uint32		sources[2 << MAX_CHUNK_LEVELS];

	sources[0] = source;
	for (uint32 i = 0; i < n_leaves - 1; i++)
	{
		Split		split = split_at(self, sources[i]);

		chunk[2 * i] = split.rank;
		chunk[2 * i + 1] = split.code;
		put_children(self, sources[i], &sources[2 * i + 1]);
	}
	for (uint32 i = 0; i < n_leaves; i++)
	{
		uint32		payload = payload_of(self, &self->ensemble->nodes[sources[n_leaves - 1 + i]]);

		memcpy(chunk + CHUNK_LEAVES(n_levels) + 4 * i, &payload, sizeof(payload));
	}
}

/* What is below the top of one lane, place by place. */
static void
fill_places(Ranker *self, Block *block, uint32 lane, const uint32 *sources, uint32 n_places)
{
	uint32	   *entries = block->entries == NULL ? NULL : &block->entries[(size_t) lane * n_places];

	for (uint32 i = 0; i < n_places; i++)
	{
		if (block->chunks != NULL)
			fill_chunk(self, block->chunks + (((size_t) lane * n_places + i) << CHUNK_SHIFT(block->n_deeper)),
					   block->n_deeper, sources[i]);
		/* places below a leaf of the top are all that leaf */
		else if (i > 0 && sources[i] == sources[i - 1])
			entries[i] = entries[i - 1];
		else if (block->n_deeper > 0)
			entries[i] = copy_subtree(self, sources[i]);
		else
			entries[i] = payload_of(self, &self->ensemble->nodes[sources[i]]);
	}
}

/* One lane of a block: the tree's top, filled up where it ends early, and what is below. */
static void
fill_lane(Ranker *self, Block *block, uint32 lane, uint32 tree)
{
	uint32		n_lanes = self->ranked->n_lanes;
	uint32		n_places = UINT32_C(1) << block->n_levels;
	uint32		sources[2 << MAX_TOP_LEVELS];

	sources[0] = self->ensemble->roots[tree];
	for (uint32 i = 0; i < n_places - 1; i++)
	{
		uint8	   *place = &block->top[(size_t) 2 * i * n_lanes + lane];
		Split		split = split_at(self, sources[i]);

		place[0] = split.rank;
		place[n_lanes] = split.code;
		put_children(self, sources[i], &sources[2 * i + 1]);
	}
	fill_places(self, block, lane, &sources[n_places - 1], n_places);
}

/* Zeroed memory that begins with a cache line. */
static uint8 *
allocate_aligned(size_t size)
{
	uint8	   *memory = plm_alloc(size + 63);

	return memory + (-(uintptr_t) memory & 63);
}

static void
make_block(Ranker *self, uint32 number)
{
	const Ensemble *ensemble = self->ensemble;
	uint32		n_lanes = self->ranked->n_lanes;
	Block	   *block = &self->ranked->blocks[number];
	uint32		first = number * n_lanes;
	uint32		last = Min(first + n_lanes, ensemble->n_trees);
	uint32		depth = 1;
	size_t		n_nodes = ensemble->roots[last] - ensemble->roots[first];
	size_t		n_places;

	for (uint32 tree = first; tree < last; tree++)
		depth = Max(depth, ensemble->depths[tree]);
	block->n_levels = Min(depth, MAX_TOP_LEVELS);
	block->n_deeper = depth - block->n_levels;
	n_places = (size_t) n_lanes << block->n_levels;
	block->top = allocate_aligned(2 * n_places);
	/* full subtrees where trees are full enough that these take no more than 16 bytes a node */
	if (block->n_deeper > 0 && block->n_deeper <= MAX_CHUNK_LEVELS &&
		n_places << CHUNK_SHIFT(block->n_deeper) <= 16 * n_nodes)
		block->chunks = allocate_aligned(n_places << CHUNK_SHIFT(block->n_deeper));
	else
		block->entries = plm_alloc(sizeof(uint32) * n_places);
	for (uint32 lane = 0; lane < n_lanes; lane++)
		fill_lane(self, block, lane, Min(first + lane, ensemble->n_trees));
}

static bool
is_eligible(const Ensemble *ensemble)
{
	if (ensemble->has_categories || ensemble->n_features > MAX_CODES || ensemble->n_trees == 0)
		return false;
	/* in a tree of up to 2^17 nodes a left child is at most 2^16 - 1 away */
	for (uint32 tree = 0; tree < ensemble->n_trees; tree++)
		if (ensemble->roots[tree + 1] - ensemble->roots[tree] >= UINT32_C(1) << 17)
			return false;
	return true;
}

static void
make_blocks(Ranker *self)
{
	const Ensemble *ensemble = self->ensemble;
	Ranked	   *ranked = self->ranked;
	size_t		n_nodes = (size_t) ensemble->n_nodes + MAX_LANES;

	ranked->n_blocks = (ensemble->n_trees + ranked->n_lanes - 1) / ranked->n_lanes;
	ranked->blocks = plm_alloc(sizeof(Block) * (size_t) ranked->n_blocks);
	ranked->nodes = plm_alloc(sizeof(RankedNode) * n_nodes);
	/* a leaf may stand at several places of a chunk, which has 8 bytes for each and at most 16 for a node */
	if (!ensemble->single_sums && !ensemble->vector_leaves)
		ranked->values = plm_alloc(sizeof(double) * 2 * n_nodes);
	self->sources = plm_alloc(sizeof(uint32) * n_nodes);
	for (uint32 i = 0; i < ranked->n_blocks; i++)
	{
		CHECK_FOR_INTERRUPTS();
		make_block(self, i);
	}
	plm_free(self->sources);
}

bool
plm_rank_trees(Ensemble *ensemble, uint32 n_lanes)
{
	Ranker		self = {.ensemble = ensemble};
	bool		fits;

	if (!is_eligible(ensemble))
		return false;
	self.ranked = plm_alloc(sizeof(Ranked));
	self.ranked->n_lanes = n_lanes;
	self.thresholds = plm_alloc(sizeof(Thresholds) * (size_t) ensemble->n_features);
	fits = collect_thresholds(&self) && assign_codes(&self);
	if (fits)
	{
		make_blocks(&self);
		make_tables(&self);
		plm_free(ensemble->nodes);
		ensemble->nodes = NULL;
		ensemble->layout = self.ranked;
	}
	for (uint32 feature = 0; feature < ensemble->n_features; feature++)
		if (self.thresholds[feature].capacity > 0)
			plm_free(self.thresholds[feature].values);
	plm_free(self.thresholds);
	return fits;
}
