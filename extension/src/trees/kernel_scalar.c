/* Portable kernels: eight trees side by side, without branches, so that their loads overlap. */
#include <math.h>

#include "leaves.h"

/* A node of trees that split on single precision: half of the memory, half of the cache misses. */
typedef struct SmallNode
{
	uint32		threshold;
	uint16		left;
	uint16		key;
} SmallNode;

typedef struct Layout
{
	SmallNode  *small_nodes;	/* or NULL: the ensemble's own are walked */
	uint32	   *small_keys;		/* [2 * n_features + 1], the last one 0: what leaves read */
	uint64	   *keys;			/* one of the two */
	double	   *values;			/* [feature] */
} Layout;

static void
read_small_keys(const Ensemble *ensemble, const double *cells, uint32 *keys)
{
	for (uint32 i = 0; i < ensemble->n_features; i++)
	{
		float		x = (float) cells[ensemble->cells[i]];
		uint32		key = single_key(x);

		PLM_CHECK_INTERRUPTS(i);
		keys[2 * i] = isnan(x) ? UINT32_MAX : key;
		keys[2 * i + 1] = isnan(x) ? 0 : key;
	}
}

static void
read_keys(const Ensemble *ensemble, const double *cells, uint64 *keys, double *values)
{
	for (uint32 i = 0; i < ensemble->n_features; i++)
	{
		double		x = cells[ensemble->cells[i]];
		uint64		key;

		PLM_CHECK_INTERRUPTS(i);
		if (ensemble->single_splits)
			x = (float) x;
		key = ensemble->single_splits ? single_key((float) x) : double_key(x);
		keys[2 * i] = isnan(x) ? UINT64_MAX : key;
		keys[2 * i + 1] = isnan(x) ? 0 : key;
		values[i] = x;
	}
}

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
		right = has_code(&ensemble->sets[node->threshold], ((const Layout *) ensemble->layout)->values[key / 2]) !=
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
walk(Ensemble *ensemble, const double *cells, bool categories, bool vector)
{
	const Layout *layout = ensemble->layout;
	const uint64 *keys = layout->keys;

	read_keys(ensemble, cells, layout->keys, layout->values);
	for (uint32 tree = 0; tree < ensemble->n_trees; tree += GROUP)
	{
		uint32		count = Min(ensemble->n_trees - tree, GROUP);
		uint32		depth = group_depth(ensemble, tree);
		const Node *nodes[GROUP];
		uint64		payloads[GROUP];

		PLM_CHECK_INTERRUPTS(tree / GROUP);
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
			PLM_CHECK_INTERRUPTS(depth / STRIDE);
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
walk_plain(Ensemble *ensemble, const double *cells)
{
	walk(ensemble, cells, false, false);
}

static void
walk_vector(Ensemble *ensemble, const double *cells)
{
	walk(ensemble, cells, false, true);
}

static void
walk_categories(Ensemble *ensemble, const double *cells)
{
	if (ensemble->vector_leaves)
		walk(ensemble, cells, true, true);
	else
		walk(ensemble, cells, true, false);
}

static void
walk_small(Ensemble *ensemble, const double *cells)
{
	const Layout *layout = ensemble->layout;
	const uint32 *keys = layout->small_keys;

	read_small_keys(ensemble, cells, layout->small_keys);
	for (uint32 tree = 0; tree < ensemble->n_trees; tree += GROUP)
	{
		uint32		depth = group_depth(ensemble, tree);
		const SmallNode *nodes[GROUP];
		uint32		payloads[GROUP];

		PLM_CHECK_INTERRUPTS(tree / GROUP);
		for (uint32 i = 0; i < GROUP; i++)
			nodes[i] = &layout->small_nodes[ensemble->roots[tree + i]];
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
			PLM_CHECK_INTERRUPTS(depth / STRIDE);
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
static SmallNode *
make_small_nodes(Ensemble *ensemble)
{
	SmallNode  *small;

	if (!ensemble->single_splits || !ensemble->single_sums || ensemble->has_categories ||
		ensemble->vector_leaves || ensemble->n_features >= UINT16_MAX / 2)
		return NULL;
	for (uint32 i = 0; i <= ensemble->n_nodes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (ensemble->nodes[i].left > UINT16_MAX)
			return NULL;
	}
	small = plm_alloc(sizeof(SmallNode) * ((size_t) ensemble->n_nodes + 1));
	for (uint32 i = 0; i <= ensemble->n_nodes; i++)
	{
		const Node *node = &ensemble->nodes[i];

		PLM_CHECK_INTERRUPTS(i);
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
	return small;
}

void
plm_choose_scalar_kernel(Ensemble *ensemble)
{
	Layout	   *layout = plm_alloc(sizeof(Layout));
	size_t		n_keys = 2 * (size_t) ensemble->n_features + 1;

	layout->small_nodes = make_small_nodes(ensemble);
	if (layout->small_nodes != NULL)
		layout->small_keys = plm_alloc(sizeof(uint32) * n_keys);
	else
	{
		layout->keys = plm_alloc(sizeof(uint64) * n_keys);
		layout->values = plm_alloc(sizeof(double) * (size_t) ensemble->n_features);
	}
	ensemble->layout = layout;
	ensemble->kernel_name = "scalar";
	if (layout->small_nodes != NULL)
		ensemble->kernel = walk_small;
	else if (ensemble->has_categories)
		ensemble->kernel = walk_categories;
	else
		ensemble->kernel = ensemble->vector_leaves ? walk_vector : walk_plain;
}
