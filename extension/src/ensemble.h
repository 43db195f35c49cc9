/*
 * Tree ensembles: `(base scores + leaves, in tree order) / divisor`.
 *
 * Comparisons are made between integers ("keys") that are ordered as the
 * numbers are, -0.0 equal to 0.0. A feature has two keys, which differ only
 * where it is missing: the least integer, which goes left everywhere, and the
 * greatest, which goes right everywhere; a split reads the one its default
 * direction asks for. So a step down a tree is one comparison without a branch.
 *
 * A leaf reads a key that is always the least integer and is its own left
 * child, so that a walk may take more steps than the tree is deep. Its
 * threshold field holds what it adds.
 */
#ifndef PLMODEL_ENSEMBLE_H
#define PLMODEL_ENSEMBLE_H

#include "program.h"
#include "simd.h"

/* A node as it is parsed, and as the kernel for doubles and categories walks it. */
typedef struct Node
{
	int64		threshold;		/* goes right where key > threshold */
	uint32		left;			/* left child less this node; the right child follows it */
	uint32		key;			/* 2 * feature + default_left, and flag */
} Node;

#define CATEGORICAL_FLAG UINT32_C(0x80000000)

/* A node of trees that split on single precision: half of the memory, half of the cache misses. */
typedef struct SmallNode
{
	int32		threshold;
	uint16		left;
	uint16		key;
} SmallNode;

/* Codes of a categorical split, as bits, or increasing where bits is NULL. */
typedef struct CategorySet
{
	uint32		n_bits;
	uint64	   *bits;
	uint32		count;
	uint32	   *codes;
} CategorySet;

/* Trees are walked in groups; padding trees, a single leaf each, fill the last one. */
#define GROUP 8
#define PADDING 32

typedef struct Ensemble Ensemble;
typedef void (*Kernel) (Ensemble *ensemble);

struct Ensemble
{
	Step		step;
	Kernel		kernel;
	const char *kernel_name;
	bool		or_equal;		/* left where x <= threshold, else where x < threshold */
	bool		single_splits;
	bool		single_sums;
	bool		category_goes_left;
	bool		has_categories;
	bool		vector_leaves;	/* a tree adds to several outputs */
	double		divisor;
	double	   *base_scores;

	uint32		n_features;		/* slots that a split reads, in the order of their first use */
	uint32	   *cells;			/* [feature] */
	void	   *keys;			/* [2 * n_features + 1], int32 or int64 */
	double	   *values;			/* [feature], where there are categories */

	uint32		n_trees;
	uint32	   *roots;			/* [tree], PADDING more */
	uint32	   *depths;			/* [tree], PADDING more; 0 is a single leaf */
	uint32	   *outputs;		/* [tree], PADDING more; without vector leaves */
	uint32	   *n_tree_outputs; /* [tree]; with vector leaves, */
	uint32	  **tree_outputs;	/* [tree] */
	double	   *leaf_values;	/* of vector leaves */

	uint32		n_nodes;		/* padding's leaf not counted */
	Node	   *nodes;			/* or NULL when the kernel has its own */
	SmallNode  *small_nodes;
	CategorySet *sets;
	void	   *layout;			/* the kernel's own */

	float	   *single;			/* [output] sums, one of the two */
	double	   *sums;
};

extern void plm_read_trees(StepParser *parser, Ensemble *ensemble, bool wide_splits);
extern bool plm_choose_scalar_kernel(Ensemble *ensemble);
extern bool plm_choose_avx2_kernel(Ensemble *ensemble);
extern bool plm_choose_avx512_kernel(Ensemble *ensemble);

/* An integer that is ordered as the number; not for NaN. */
PLM_INLINE int32
single_key(float x)
{
	int32		bits;

	x += 0.0f;					/* -0.0 equals 0.0 */
	memcpy(&bits, &x, sizeof(bits));
	return bits ^ (int32) ((uint32) (bits >> 31) >> 1);
}

PLM_INLINE int64
double_key(double x)
{
	int64		bits;

	x += 0.0;
	memcpy(&bits, &x, sizeof(bits));
	return bits ^ (int64) ((uint64) (bits >> 63) >> 1);
}

#endif
