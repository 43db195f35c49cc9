/* Laying out ranked trees: columns and codes first, then the blocks. */
#ifndef PLMODEL_RANKER_H
#define PLMODEL_RANKER_H

#include "ranked.h"

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

static inline bool
is_leaf(const Node *node)
{
	return node->left == 0;
}

extern bool plm_collect_thresholds(Ranker *self);
extern bool plm_assign_codes(Ranker *self);
extern void plm_make_rank_tables(Ranker *self);
extern Split plm_split_of(const Ranker *self, const Node *node);

#endif
