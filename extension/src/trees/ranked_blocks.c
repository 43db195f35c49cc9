/* Blocks of ranked trees. */
#include "ranker.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define MIN_TREES 1
#define MIN_NODES 1
#else
#define MIN_TREES 8
#define MIN_NODES 128
#endif

/* Bytes of a layout for each byte of the ensemble in the body, at most; most take two. */
#define MAX_GROWTH 8

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

		PLM_CHECK_INTERRUPTS(i);
		copy->rank = MAX_RANK;	/* a leaf: no rank is greater */
		if (is_leaf(node))
		{
			copy->payload = payload_of(self, node);
			continue;
		}
		split = plm_split_of(self, node);
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

	return is_leaf(node) ? nowhere : plm_split_of(self, node);
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

/* What a block takes. */
typedef struct BlockShape
{
	uint32		n_levels;
	uint32		n_deeper;
	size_t		top_size;
	size_t		entries_size;	/* one of the two */
	size_t		chunks_size;
} BlockShape;

static BlockShape
shape_of(const Ranker *self, uint32 number)
{
	const Ensemble *ensemble = self->ensemble;
	uint32		n_lanes = self->ranked->n_lanes;
	uint32		first = number * n_lanes;
	uint32		last = Min(first + n_lanes, ensemble->n_trees);
	uint32		depth = 1;
	size_t		n_nodes = ensemble->roots[last] - ensemble->roots[first];
	size_t		n_places;
	BlockShape	shape = {0};

	for (uint32 tree = first; tree < last; tree++)
		depth = Max(depth, ensemble->depths[tree]);
	shape.n_levels = Min(depth, MAX_TOP_LEVELS);
	shape.n_deeper = depth - shape.n_levels;
	n_places = (size_t) n_lanes << shape.n_levels;
	shape.top_size = 2 * n_places;
	/* full subtrees where trees are full enough that these take no more than 16 bytes a node */
	if (shape.n_deeper > 0 && shape.n_deeper <= MAX_CHUNK_LEVELS &&
		n_places << CHUNK_SHIFT(shape.n_deeper) <= 16 * n_nodes)
		shape.chunks_size = n_places << CHUNK_SHIFT(shape.n_deeper);
	else
		shape.entries_size = sizeof(uint32) * n_places;
	return shape;
}

static void
make_block(Ranker *self, uint32 number)
{
	BlockShape	shape = shape_of(self, number);
	Block	   *block = &self->ranked->blocks[number];
	uint32		n_lanes = self->ranked->n_lanes;

	block->n_levels = shape.n_levels;
	block->n_deeper = shape.n_deeper;
	block->top = allocate_aligned(shape.top_size);
	if (shape.chunks_size > 0)
		block->chunks = allocate_aligned(shape.chunks_size);
	else
		block->entries = plm_alloc(shape.entries_size);
	for (uint32 lane = 0; lane < n_lanes; lane++)
		fill_lane(self, block, lane, Min(number * n_lanes + lane, self->ensemble->n_trees));
}

static bool
is_eligible(const Ensemble *ensemble)
{
	/* a few small trees are not worth the tables, neither in time nor in memory */
	if (ensemble->has_categories || ensemble->n_features > MAX_CODES ||
		ensemble->n_trees < MIN_TREES || ensemble->n_nodes < MIN_NODES)
		return false;
	/* in a tree of up to 2^17 nodes a left child is at most 2^16 - 1 away */
	for (uint32 tree = 0; tree < ensemble->n_trees; tree++)
	{
		PLM_CHECK_INTERRUPTS(tree);
		if (ensemble->roots[tree + 1] - ensemble->roots[tree] >= UINT32_C(1) << 17)
			return false;
	}
	return true;
}

/* Whether the layout is small beside the body: lopsided trees, few to a block, would take many times its bytes. */
static bool
is_affordable(Ranker *self)
{
	const Ensemble *ensemble = self->ensemble;
	size_t		n_nodes = (size_t) ensemble->n_nodes + MAX_LANES;
	size_t		size = plm_rank_tables_size(self) + sizeof(Column) * self->ranked->n_columns;
	bool		has_nodes = false;

	for (uint32 i = 0; i < self->ranked->n_blocks; i++)
	{
		BlockShape	shape = shape_of(self, i);

		PLM_CHECK_INTERRUPTS(i);
		size += sizeof(Block) + shape.top_size + shape.entries_size + shape.chunks_size;
		has_nodes = has_nodes || (shape.n_deeper > 0 && shape.entries_size > 0);
	}
	self->nodes_size = has_nodes ? sizeof(RankedNode) * n_nodes : 0;
	/* a leaf may stand at several places of a chunk, which has 8 bytes for each and at most 16 for a node */
	self->values_size = ensemble->single_sums || ensemble->vector_leaves ? 0 : sizeof(double) * 2 * n_nodes;
	return size + self->nodes_size + self->values_size <= MAX_GROWTH * ensemble->n_bytes;
}

static void
make_blocks(Ranker *self)
{
	Ranked	   *ranked = self->ranked;

	ranked->blocks = plm_alloc(sizeof(Block) * (size_t) ranked->n_blocks);
	ranked->nodes = plm_alloc(self->nodes_size);
	ranked->values = plm_alloc(self->values_size);
	self->sources = plm_alloc(sizeof(uint32) * (self->nodes_size / sizeof(RankedNode)));
	for (uint32 i = 0; i < ranked->n_blocks; i++)
	{
		CHECK_FOR_INTERRUPTS();
		make_block(self, i);
	}
	plm_free(self->sources);
}

static void
free_ranker(Ranker *self, bool fits)
{
	for (uint32 feature = 0; feature < self->ensemble->n_features; feature++)
		if (self->thresholds[feature].capacity > 0)
			plm_free(self->thresholds[feature].values);
	plm_free(self->thresholds);
	if (fits)
		return;
	if (self->ranked->columns != NULL)
		plm_free(self->ranked->columns);
	plm_free(self->ranked);
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
	self.ranked->n_blocks = (ensemble->n_trees + n_lanes - 1) / n_lanes;
	self.thresholds = plm_alloc(sizeof(Thresholds) * (size_t) ensemble->n_features);
	fits = plm_collect_thresholds(&self) && plm_assign_codes(&self) && is_affordable(&self);
	if (fits)
	{
		make_blocks(&self);
		plm_make_rank_tables(&self);
		plm_free(ensemble->nodes);
		ensemble->nodes = NULL;
		ensemble->layout = self.ranked;
	}
	free_ranker(&self, fits);
	return fits;
}
