/* Portable kernels: eight trees side by side, without branches, so that their loads overlap. */
#include "leaves.h"

/* Whether the row's value is one of the codes; it is a number. */
static bool
has_code(const CategorySet *set, double value)
{
	uint32		code;

	if (!(value >= 0 && value < UINT32_MAX))
		return false;
	code = (uint32) value;
	if ((double) code != value)
		return false;
	if (set->bits != NULL)
		return code < set->n_bits && (set->bits[code / 64] >> (code % 64) & 1);
	for (uint32 low = 0, high = set->count; low < high;)
	{
		uint32		middle = low + (high - low) / 2;

		if (set->codes[middle] == code)
			return true;
		if (set->codes[middle] < code)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static const Node *
categorical_step(const Ensemble *ensemble, const Node *node, const uint64 *keys)
{
	uint32		key = node->key & ~CATEGORICAL_FLAG;
	bool		right;

	/* the least and the greatest key stand for missing values only */
	if (keys[key] == 0 || keys[key] == UINT64_MAX)
		right = keys[key] != 0;
	else
		right = has_code(&ensemble->sets[node->threshold], ensemble->values[key / 2]) !=
			ensemble->category_goes_left;
	return node + node->left + right;
}

PLM_INLINE const Node *
step(const Ensemble *ensemble, const Node *node, const uint64 *keys, bool categories)
{
	if (categories && (node->key & CATEGORICAL_FLAG))
		return categorical_step(ensemble, node, keys);
	return node + ((size_t) node->left + (keys[node->key] > node->threshold));
}

PLM_INLINE uint32
group_depth(const Ensemble *ensemble, uint32 tree)
{
	uint32		depth = 0;

	for (uint32 i = 0; i < GROUP; i++)
		depth = Max(depth, ensemble->depths[tree + i]);
	return depth;
}

/* Levels between two looks whether all trees of a group have ended: deep trees are lopsided. */
#define STRIDE 8

PLM_INLINE void
walk(Ensemble *ensemble, bool categories, bool vector)
{
	const uint64 *keys = ensemble->keys;

	for (uint32 tree = 0; tree < ensemble->n_trees; tree += GROUP)
	{
		uint32		count = Min(ensemble->n_trees - tree, GROUP);
		uint32		depth = group_depth(ensemble, tree);
		const Node *nodes[GROUP];
		uint64		payloads[GROUP];

		for (uint32 i = 0; i < GROUP; i++)
			nodes[i] = &ensemble->nodes[ensemble->roots[tree + i]];
		while (depth > 0)
		{
			uint32		inner = 0;

			for (uint32 levels = Min(depth, STRIDE); levels > 0; levels--, depth--)
				for (uint32 i = 0; i < GROUP; i++)
					nodes[i] = step(ensemble, nodes[i], keys, categories);
			for (uint32 i = 0; i < GROUP; i++)
				inner |= nodes[i]->left;
			if (inner == 0)
				break;
		}
		for (uint32 i = 0; i < GROUP; i++)
			payloads[i] = nodes[i]->threshold;
		if (!vector)
			add_doubles(ensemble, tree, payloads, count);
		else
			for (uint32 i = 0; i < count; i++)
				add_vector(ensemble, tree + i, (size_t) payloads[i]);
	}
}

static void
walk_plain(Ensemble *ensemble)
{
	walk(ensemble, false, false);
}

static void
walk_vector(Ensemble *ensemble)
{
	walk(ensemble, false, true);
}

static void
walk_categories(Ensemble *ensemble)
{
	if (ensemble->vector_leaves)
		walk(ensemble, true, true);
	else
		walk(ensemble, true, false);
}

static void
walk_small(Ensemble *ensemble)
{
	const uint32 *keys = ensemble->keys;

	for (uint32 tree = 0; tree < ensemble->n_trees; tree += GROUP)
	{
		uint32		depth = group_depth(ensemble, tree);
		const SmallNode *nodes[GROUP];
		uint32		payloads[GROUP];

		for (uint32 i = 0; i < GROUP; i++)
			nodes[i] = &ensemble->small_nodes[ensemble->roots[tree + i]];
		while (depth > 0)
		{
			uint32		inner = 0;

			for (uint32 levels = Min(depth, STRIDE); levels > 0; levels--, depth--)
#pragma GCC unroll 8
				for (uint32 i = 0; i < GROUP; i++)
					nodes[i] += (size_t) nodes[i]->left + (keys[nodes[i]->key] > nodes[i]->threshold);
			for (uint32 i = 0; i < GROUP; i++)
				inner |= nodes[i]->left;
			if (inner == 0)
				break;
		}
		for (uint32 i = 0; i < GROUP; i++)
			payloads[i] = nodes[i]->threshold;
		add_singles(ensemble, tree, payloads, Min(ensemble->n_trees - tree, GROUP));
	}
}

/*
 * Trees of single precision throughout, one output each, without categories,
 * whose keys and distances to a child fit 16 bits: almost all of xgboost's.
 */
static bool
make_small_nodes(Ensemble *ensemble)
{
	SmallNode  *small;

	if (!ensemble->single_splits || !ensemble->single_sums || ensemble->has_categories ||
		ensemble->vector_leaves || ensemble->n_features >= UINT16_MAX / 2)
		return false;
	for (uint32 i = 0; i <= ensemble->n_nodes; i++)
		if (ensemble->nodes[i].left > UINT16_MAX)
			return false;
	small = plm_alloc(sizeof(SmallNode) * ((size_t) ensemble->n_nodes + 1));
	for (uint32 i = 0; i <= ensemble->n_nodes; i++)
	{
		const Node *node = &ensemble->nodes[i];

		small[i].left = (uint16) node->left;
		small[i].key = (uint16) node->key;
		small[i].threshold = (uint32) node->threshold;
		if (node->left == 0)
		{
			float		value = (float) leaf_double(node->threshold);

			memcpy(&small[i].threshold, &value, sizeof(value));
		}
	}
	plm_free(ensemble->nodes);
	ensemble->nodes = NULL;
	ensemble->small_nodes = small;
	ensemble->small_keys = true;
	return true;
}

void
plm_choose_scalar_kernel(Ensemble *ensemble)
{
	ensemble->kernel_name = "scalar";
	if (make_small_nodes(ensemble))
		ensemble->kernel = walk_small;
	else if (ensemble->has_categories)
		ensemble->kernel = walk_categories;
	else
		ensemble->kernel = ensemble->vector_leaves ? walk_vector : walk_plain;
}
