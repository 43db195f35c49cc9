/*
 * Tree ensembles with few different thresholds, as boosting on histograms makes
 * them: xgboost and scikit-learn's HistGradientBoosting with 256 bins, LightGBM.
 *
 * A row's value of a feature is replaced by its rank, the number of the
 * feature's thresholds that it is beyond; a split then compares two bytes. A
 * feature with more than 255 thresholds is treated as several, "columns", that
 * share them out (xgboost makes 256). Splits read a column's rank as a code, of
 * which there are up to two: they differ where the value is missing. As many
 * trees as a vector has bytes, a block, walk their first six levels side
 * by side: all nodes of a level are loaded and the lanes choose theirs by mask,
 * which costs a load for each node of one tree, not a gather for each tree.
 * Below, each tree goes on by itself: through up to three levels that lie in
 * one cache line, or through nodes with pointers where trees are deeper.
 */
#ifndef PLMODEL_RANKED_H
#define PLMODEL_RANKED_H

#include "ensemble.h"

#define MAX_RANK 255
#define MAX_CODES 256
#define MAX_TOP_LEVELS 6
#define MAX_LANES 64

/* A node below the top levels. A leaf is its own left child. */
typedef struct RankedNode
{
	uint8		rank;			/* goes right where the row's rank is greater */
	uint8		code;			/* which of the row's */
	uint16		left;			/* left child less this node */
	uint32		payload;		/* leaf: bits of a float, or index into values */
} RankedNode;

typedef struct Block
{
	uint32		n_levels;		/* at the top */
	uint32		n_deeper;		/* levels below */
	uint8	   *top;			/* [node][rank or code][lane] */
	uint32	   *entries;		/* [lane][place below the top]: a payload, or a node when there are levels below */
	uint8	   *chunks;			/* [lane][place]: full subtrees of n_deeper levels instead, or NULL */
} Block;

/* A feature's thresholds, or a part of them. */
typedef struct Column
{
	uint32		feature;
	uint32		left_code;		/* where a missing value goes left; MAX_CODES: not used */
	uint32		right_code;
	uint32		pivots;			/* position in the tables: every sixteenth threshold, 16 of them */
	uint32		thresholds;		/* position in the tables: whole runs of 16 */
} Column;

#define RUN 16

typedef struct Ranked
{
	uint32		n_lanes;
	uint32		n_blocks;
	Block	   *blocks;
	RankedNode *nodes;
	double	   *values;			/* of leaves that are no floats; of vector leaves, see Ensemble */

	uint32		n_columns;
	Column	   *columns;
	uint32		n_codes;

	/*
	 * The columns' thresholds, beyond which a row is where it is greater, and
	 * their pivots, the last ones of each run: increasing, filled up with
	 * infinity. Columns of one run share the pivots at the beginning.
	 */
	float	   *singles;		/* one of the two */
	double	   *doubles;
	uint8		codes[MAX_CODES + 64];	/* the row's ranks; those not used are written behind them */
} Ranked;

/*
 * A full subtree of n levels: rank and code of each split, heap order, padded
 * to a power of two; then the payloads. It takes a power of two of bytes.
 */
#define MAX_CHUNK_LEVELS 3
#define CHUNK_SHIFT(n_levels) ((n_levels) + 3)
#define CHUNK_LEAVES(n_levels) ((size_t) 2 << (n_levels))

/*
 * Lay out the trees; false where they need more than MAX_CODES codes, do not
 * fit otherwise, or would take more memory than the body's size allows for.
 */
extern bool plm_rank_trees(Ensemble *ensemble, uint32 n_lanes);

#endif
