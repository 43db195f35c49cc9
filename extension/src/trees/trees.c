/* Trees as the body holds them: breadth first, children side by side. */
#include <math.h>

#include "ensemble.h"

typedef struct TreeReader
{
	Reader	   *reader;
	Ensemble   *ensemble;
	const uint32 *slots;		/* of the ensemble */
	uint32		n_slots;
	uint32	   *feature_of_slot;	/* NOT_USED until a split reads it */
	bool		wide_splits;
	uint32		n_leaf_values;
	uint32		leaf_values_size;
	uint32		n_sets;
	uint32		sets_size;
	uint32	   *levels;			/* of the present tree's nodes */
} TreeReader;

#define NOT_USED UINT32_MAX

#define SPLIT_DEFAULT_LEFT 1
#define SPLIT_CATEGORICAL 2

static inline bool
is_leaf(const uint8 *leaves, uint32 node)
{
	return leaves[node / 8] >> (node % 8) & 1;
}

/*
 * Links and levels of one tree. The k-th inner node's children are nodes
 * 2k + 1 and 2k + 2, so the only thing that can be wrong is that a child comes
 * before the inner node that it belongs to, or that nodes are left over.
 */
static uint32
link_tree(Node *nodes, uint32 n_nodes, const uint8 *leaves, uint32 *levels)
{
	uint32		n_inner = 0;
	uint32		depth = 0;

	levels[0] = 0;
	for (uint32 i = 0; i < n_nodes; i++)
	{
		uint32		child = 2 * n_inner + 1;

		PLM_CHECK_INTERRUPTS(i);
		if (is_leaf(leaves, i))
			continue;
		if (child <= i || child + 1 >= n_nodes)
			plm_reject("a tree's nodes do not follow their parents");
		nodes[i].left = child - i;
		levels[child] = levels[child + 1] = levels[i] + 1;
		depth = levels[child];
		n_inner++;
	}
	/* an inner node for each pair of nodes behind the root: no node lacks a parent */
	if (n_nodes != 2 * n_inner + 1)
		plm_reject("a tree's nodes do not follow their parents");
	return depth;
}

static uint32
feature_number(TreeReader *self, uint32 slot)
{
	uint32	   *feature;

	if (slot >= self->n_slots)
		plm_reject("a split's slot %u is not below %u", slot, self->n_slots);
	feature = &self->feature_of_slot[slot];
	if (*feature == NOT_USED)
	{
		*feature = self->ensemble->n_features++;
		self->ensemble->cells[*feature] = self->slots[slot];
	}
	return *feature;
}

static uint64
read_threshold(TreeReader *self, bool categorical)
{
	const Ensemble *ensemble = self->ensemble;
	double		threshold = ensemble->single_splits ? read_f32(self->reader) : read_f64(self->reader);
	uint64		key;

	if (categorical)
		return 0;
	if (isnan(threshold))
		plm_reject("a threshold is NaN");
	key = ensemble->single_splits ? single_key((float) threshold) : double_key(threshold);
	/* x >= t is key > key of t, less one; no number has the key 0 */
	return ensemble->or_equal ? key : key - 1;
}

/* What a leaf adds: its threshold holds the bits of a double, or where its values begin. */
static void
read_leaf(TreeReader *self, Node *node, uint32 n_outputs)
{
	Ensemble   *ensemble = self->ensemble;

	if (ensemble->vector_leaves)
	{
		node->threshold = self->n_leaf_values;
		if (n_outputs > self->leaf_values_size - self->n_leaf_values)
			plm_reject("it has more leaf values than it states");
	}
	for (uint32 o = 0; o < n_outputs; o++)
	{
		double		value = ensemble->single_sums ? read_f32(self->reader) : read_f64(self->reader);

		PLM_CHECK_INTERRUPTS(o);
		if (!isfinite(value))
			plm_reject("a leaf is not finite");
		if (ensemble->vector_leaves)
			ensemble->leaf_values[self->n_leaf_values++] = value;
		else
			memcpy(&node->threshold, &value, sizeof(value));
	}
}

/*
 * The codes of a categorical split: bits where they are dense, so that the
 * body's size bounds the memory they take, else the increasing codes.
 */
static CategorySet
read_set(Reader *reader)
{
	CategorySet set = {0};

	set.count = read_count(reader, 4);
	set.codes = read_indexes(reader, set.count, UINT32_MAX, "a category's code");
	for (uint32 i = 1; i < set.count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (set.codes[i] <= set.codes[i - 1])
			plm_reject("a split's category codes do not increase");
	}
	if (set.count > 0 && set.codes[set.count - 1] / 32 <= set.count)
	{
		uint32	   *codes = set.codes;

		set.n_bits = codes[set.count - 1] + 1;
		set.bits = plm_alloc(sizeof(uint64) * (set.n_bits / 64 + 1));
		for (uint32 i = 0; i < set.count; i++)
		{
			PLM_CHECK_INTERRUPTS(i);
			set.bits[codes[i] / 64] |= UINT64_C(1) << (codes[i] % 64);
		}
		set.codes = NULL;
		plm_free(codes);
	}
	return set;
}

static void
read_sets(TreeReader *self, Node *nodes, uint32 n_nodes)
{
	for (uint32 i = 0; i < n_nodes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (!(nodes[i].key & CATEGORICAL_FLAG))
			continue;
		if (self->n_sets >= self->sets_size)
			plm_reject("it has more categorical splits than it states");
		nodes[i].threshold = self->n_sets;
		self->ensemble->sets[self->n_sets++] = read_set(self->reader);
	}
}

/* Returns how many outputs the tree adds to. */
static uint32
read_tree_outputs(TreeReader *self, uint32 tree)
{
	Ensemble   *ensemble = self->ensemble;
	uint32		n_outputs = read_count(self->reader, 4);
	uint32	   *outputs = read_indexes(self->reader, n_outputs, ensemble->step.width, "an output");

	if (n_outputs == 0 || (n_outputs > 1 && !ensemble->vector_leaves))
		plm_reject("a tree has no outputs, or more than stated");
	if (ensemble->vector_leaves)
	{
		ensemble->n_tree_outputs[tree] = n_outputs;
		ensemble->tree_outputs[tree] = outputs;
	}
	else
	{
		ensemble->outputs[tree] = outputs[0];
		plm_free(outputs);
	}
	return n_outputs;
}

static void
read_splits(TreeReader *self, Node *nodes, uint32 n_nodes, const uint8 *leaves)
{
	for (uint32 i = 0; i < n_nodes; i++)
	{
		uint32		split;

		PLM_CHECK_INTERRUPTS(i);
		if (is_leaf(leaves, i))
			continue;
		split = self->wide_splits ? read_u32(self->reader) : read_u16(self->reader);
		nodes[i].key = feature_number(self, split >> 2) * 2 + (split & SPLIT_DEFAULT_LEFT);
		if (split & SPLIT_CATEGORICAL)
		{
			nodes[i].key |= CATEGORICAL_FLAG;
			self->ensemble->has_categories = true;
		}
	}
	for (uint32 i = 0; i < n_nodes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (!is_leaf(leaves, i))
			nodes[i].threshold = read_threshold(self, nodes[i].key & CATEGORICAL_FLAG);
	}
}

/* Returns the tree's number of nodes. */
static uint32
read_tree(TreeReader *self, uint32 tree, uint32 root)
{
	Ensemble   *ensemble = self->ensemble;
	Node	   *nodes = &ensemble->nodes[root];
	uint32		n_nodes = read_u32(self->reader);
	uint32		n_outputs = read_tree_outputs(self, tree);
	const uint8 *leaves;

	if (n_nodes == 0 || n_nodes > ensemble->n_nodes - root)
		plm_reject("a tree has no nodes, or more than stated");
	leaves = read_bytes(self->reader, (size_t) n_nodes / 8 + (n_nodes % 8 != 0));
	ensemble->roots[tree] = root;
	ensemble->depths[tree] = link_tree(nodes, n_nodes, leaves, self->levels);
	read_splits(self, nodes, n_nodes, leaves);
	for (uint32 i = 0; i < n_nodes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (is_leaf(leaves, i))
			read_leaf(self, &nodes[i], n_outputs);
	}
	read_sets(self, nodes, n_nodes);
	return n_nodes;
}

static void
allocate_trees(TreeReader *self)
{
	Reader	   *reader = self->reader;
	Ensemble   *ensemble = self->ensemble;
	size_t		n_padded;

	/* a tree has at least a node count, an output count, an output, a leaf's mark and its value */
	ensemble->n_trees = read_count(reader, 17);
	/* a leaf has at least four bytes, a split six */
	ensemble->n_nodes = read_count(reader, 4);
	self->leaf_values_size = read_count(reader, 4);
	/* a categorical split has the bytes of a split and a leaf, and a count of codes */
	self->sets_size = read_count(reader, 14);
	n_padded = (size_t) ensemble->n_trees + GROUP;
	ensemble->roots = plm_alloc(sizeof(uint32) * 3 * n_padded);
	ensemble->depths = ensemble->roots + n_padded;
	ensemble->outputs = ensemble->depths + n_padded;
	if (ensemble->vector_leaves)
	{
		ensemble->n_tree_outputs = plm_alloc(sizeof(uint32) * n_padded);
		ensemble->tree_outputs = plm_alloc(sizeof(uint32 *) * n_padded);
		ensemble->leaf_values = plm_alloc(sizeof(double) * (size_t) self->leaf_values_size);
	}
	ensemble->nodes = plm_alloc(sizeof(Node) * ((size_t) ensemble->n_nodes + 1));
	if (self->sets_size > 0)
		ensemble->sets = plm_alloc(sizeof(CategorySet) * (size_t) self->sets_size);
	self->levels = plm_alloc(sizeof(uint32) * (size_t) ensemble->n_nodes);
	self->feature_of_slot = plm_alloc(sizeof(uint32) * (size_t) self->n_slots);
	memset(self->feature_of_slot, 0xFF, sizeof(uint32) * (size_t) self->n_slots);
	ensemble->cells = plm_alloc(sizeof(uint32) * (size_t) self->n_slots);
}

/* Read all trees into nodes that every kernel's own layout can be made of. */
void
plm_read_trees(StepParser *parser, Ensemble *ensemble, bool wide_splits)
{
	TreeReader	self = {.reader = &parser->reader,.ensemble = ensemble,.wide_splits = wide_splits};
	uint32		n_nodes = 0;

	self.n_slots = read_count(self.reader, 4);
	self.slots = read_indexes(self.reader, self.n_slots, parser->out, "a slot");
	/* 2^29 features and no more leave room for the flags of a key */
	if (self.n_slots >= UINT32_C(1) << 29)
		plm_reject("an ensemble has too many slots");
	allocate_trees(&self);
	for (uint32 tree = 0; tree < ensemble->n_trees; tree++)
	{
		CHECK_FOR_INTERRUPTS();
		n_nodes += read_tree(&self, tree, n_nodes);
	}
	if (n_nodes != ensemble->n_nodes || self.n_leaf_values != self.leaf_values_size ||
		self.n_sets != self.sets_size)
		plm_reject("it has fewer nodes, leaf values or categorical splits than it states");

	/* what leaves and padding trees read: a key that always goes left, to themselves */
	for (uint32 i = 0; i <= n_nodes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (ensemble->nodes[i].left == 0)
			ensemble->nodes[i].key = 2 * ensemble->n_features;
	}
	for (uint32 i = 0; i < GROUP; i++)
		ensemble->roots[ensemble->n_trees + i] = n_nodes;
	plm_free(self.levels);
	plm_free(self.feature_of_slot);
}
