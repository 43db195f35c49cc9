/*
 * Tree ensembles: `(base scores + leaves, in tree order) / divisor`.
 *
 * Comparisons are made between unsigned integers ("keys") that are ordered as
 * the numbers are, -0.0 equal to 0.0. A feature has two keys, which differ only
 * where it is missing: 0, which goes left everywhere, and the greatest integer,
 * which goes right everywhere; a split reads the one its default direction asks
 * for. So a step down a tree is one comparison without a branch, and unsigned
 * makes it an addition with carry.
 *
 * A leaf reads a key that is always 0 and is its own left child, so that a walk
 * may take more steps than the tree is deep. Its threshold field holds what the
 * leaf adds.
 */
#ifndef PLMODEL_ENSEMBLE_H
#define PLMODEL_ENSEMBLE_H

#include "program/simd.h"
#include "program/step.h"

/* A node as it is parsed, and as the kernel for doubles and categories walks it. */
typedef struct Node
{
	uint64		threshold;		/* goes right where key > threshold */
	uint32		left;			/* left child less this node; the right child follows it */
	uint32		key;			/* 2 * feature + default_left, and flag */
} Node;

#define CATEGORICAL_FLAG UINT32_C(0x80000000)

/* Codes of a categorical split, as bits, or increasing where bits is NULL. */
typedef struct CategorySet
{
	uint32		n_bits;
	uint64	   *bits;
	uint32		count;
	uint32	   *codes;
} CategorySet;

/* Trees are walked in groups; as many padding trees, a single leaf each, fill the last one. */
#define GROUP 8

typedef struct Ensemble Ensemble;
typedef void (*Kernel) (Ensemble *ensemble, const double *cells);

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
	size_t		n_bytes;		/* in the body */
	double		divisor;
	double	   *base_scores;

	uint32		n_features;		/* slots that a split reads, in the order of their first use */
	uint32	   *cells;			/* [feature] */

	uint32		n_trees;
	uint32	   *roots;			/* [tree], GROUP more */
	uint32	   *depths;			/* [tree], GROUP more; 0 is a single leaf */
	uint32	   *outputs;		/* [tree], GROUP more; without vector leaves */
	uint32	   *n_tree_outputs; /* [tree]; with vector leaves, */
	uint32	  **tree_outputs;	/* [tree] */
	double	   *leaf_values;	/* of vector leaves */

	uint32		n_nodes;		/* padding's leaf not counted */
	Node	   *nodes;			/* or NULL when the kernel has its own */
	CategorySet *sets;
	void	   *layout;			/* the kernel's own */

	float	   *single;			/* [output] sums, one of the two */
	double	   *sums;
};

extern Step *plm_parse_ensemble(StepParser *parser);
extern void plm_read_trees(StepParser *parser, Ensemble *ensemble, bool wide_splits);
extern void plm_choose_scalar_kernel(Ensemble *ensemble);
extern bool plm_choose_avx2_kernel(Ensemble *ensemble);
extern bool plm_choose_avx512_kernel(Ensemble *ensemble);

/*
 * An unsigned integer that is ordered as the number is; not for NaN. That of
 * -infinity is greater than 0, that of infinity less than the greatest integer.
 */
PLM_INLINE uint32
single_key(float x)
{
	uint32		bits;

	x += 0.0f;					/* -0.0 equals 0.0 */
	memcpy(&bits, &x, sizeof(bits));
	return bits ^ ((uint32) ((int32) bits >> 31) | UINT32_C(0x80000000));
}

PLM_INLINE uint64
double_key(double x)
{
	uint64		bits;

	x += 0.0;
	memcpy(&bits, &x, sizeof(bits));
	return bits ^ ((uint64) ((int64) bits >> 63) | UINT64_C(0x8000000000000000));
}

#endif
