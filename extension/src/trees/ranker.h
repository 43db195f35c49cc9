/* Laying out ranked trees: columns and codes first, then the blocks. */
#ifndef PLMODEL_RANKER_H
#define PLMODEL_RANKER_H

#include "ranked.h"

/* A feature's different thresholds, and the columns that share them out. */
typedef struct Thresholds
{
	uint64	   *values;			/* increasing; then those that were met since, in any order */
	uint32		count;			/* of the increasing ones */
	uint32		n_new;
	uint32		capacity;
	uint32		first_column;
	uint32		share;			/* of one column */
} Thresholds;

typedef struct Ranker
{
	Ensemble   *ensemble;
	Ranked	   *ranked;
	Thresholds *thresholds;		/* [feature] */
	uint32		n_thresholds;	/* of all features, as far as they are in order */
	uint32		table_size;		/* numbers in the search tables */
	size_t		nodes_size;		/* in bytes */
	size_t		values_size;
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
extern size_t plm_rank_tables_size(const Ranker *self);
extern void plm_make_rank_tables(Ranker *self);
extern Split plm_split_of(const Ranker *self, const Node *node);

#endif
