/*
 * The walk over ranked trees, for one instruction set. The includer defines
 *
 * TARGET               attribute of the functions
 * LANES                bytes in a vector
 * Vector, Mask         types
 * load(p)              an aligned vector
 * choose(mask, a, b)   b where the mask is set, else a
 * greater(a, b)        a mask, of unsigned bytes
 * Codes                the row's ranks, ready for
 * look_up(codes, numbers, n_codes)
 * load_codes(bytes)
 * add_bit(places, mask, bit)
 * has_bit(a, bit)      a mask, of bytes
 * filled(byte)         a vector of it
 * compare(splits, codes, n_codes, bits)
 *                      a bit for each byte of eight vectors of splits, rank and
 *                      code: that of the code says whether it is beyond the rank
 * store(p, places)
 * single_rank(ranked, column, value), double_rank(ranked, column, value)
 */
#include <math.h>

#include "leaves.h"
#include "ranked.h"

#define ROW_BYTES (2 * LANES)

/*
 * A level's node for each lane, out of 2^n rows, step bytes apart: the masks
 * are the lanes' ways down, the first level's first. The last level's mask,
 * which is known last, makes the last choice.
 */
PLM_INLINE TARGET Vector
choose_2(const uint8 *rows, size_t step, Mask a)
{
	return choose(a, load(rows), load(rows + step));
}

PLM_INLINE TARGET Vector
choose_4(const uint8 *rows, size_t step, Mask a, Mask b)
{
	return choose(b, choose_2(rows, 2 * step, a), choose_2(rows + step, 2 * step, a));
}

PLM_INLINE TARGET Vector
choose_8(const uint8 *rows, size_t step, Mask a, Mask b, Mask c)
{
	return choose(c, choose_4(rows, 2 * step, a, b), choose_4(rows + step, 2 * step, a, b));
}

PLM_INLINE TARGET Vector
choose_16(const uint8 *rows, size_t step, Mask a, Mask b, Mask c, Mask d)
{
	return choose(d, choose_8(rows, 2 * step, a, b, c), choose_8(rows + step, 2 * step, a, b, c));
}

PLM_INLINE TARGET Vector
choose_32(const uint8 *rows, size_t step, Mask a, Mask b, Mask c, Mask d, Mask e)
{
	return choose(e, choose_16(rows, 2 * step, a, b, c, d), choose_16(rows + step, 2 * step, a, b, c, d));
}

#define choose_1(rows, step) load(rows)

/* Right or left, at the nodes that `pick` chooses among the rows of a level. */
#define GO(pick, first, ...) \
	greater(look_up(codes, pick(top + (first) * ROW_BYTES + LANES, ROW_BYTES, ##__VA_ARGS__), n_codes), \
			pick(top + (first) * ROW_BYTES, ROW_BYTES, ##__VA_ARGS__))

/* Where the lanes are below the top levels. */
PLM_INLINE TARGET void
walk_top(const uint8 *top, const Codes *codes, uint32 n_codes, uint32 n_levels, uint8 *places)
{
	Vector		at = zero();
	Mask		a,
				b,
				c,
				d,
				e;

	a = GO(choose_1, 0);
	at = add_bit(at, a, 1 << (n_levels - 1));
	if (n_levels > 1)
	{
		b = GO(choose_2, 1, a);
		at = add_bit(at, b, 1 << (n_levels - 2));
		if (n_levels > 2)
		{
			c = GO(choose_4, 3, a, b);
			at = add_bit(at, c, 1 << (n_levels - 3));
			if (n_levels > 3)
			{
				d = GO(choose_8, 7, a, b, c);
				at = add_bit(at, d, 1 << (n_levels - 4));
				if (n_levels > 4)
				{
					e = GO(choose_16, 15, a, b, c, d);
					at = add_bit(at, e, 1 << (n_levels - 5));
					if (n_levels > 5)
						at = add_bit(at, GO(choose_32, 31, a, b, c, d, e), 1);
				}
			}
		}
	}
	store(places, at);
}

PLM_INLINE void
add_payloads(Ensemble *ensemble, uint32 tree, const uint32 *payloads, uint32 count)
{
	const Ranked *ranked = ensemble->layout;

	if (ensemble->vector_leaves)
	{
		for (uint32 i = 0; i < count; i++)
			add_vector(ensemble, tree + i, payloads[i]);
	}
	else if (ensemble->single_sums)
		add_singles(ensemble, tree, payloads, count);
	else
		add_indirect(ensemble, tree, ranked->values, payloads, count);
}

/* The levels below, eight trees at a time. */
PLM_INLINE void
walk_deeper(const Ranked *ranked, uint32 n_levels, const uint32 *entries, uint32 *payloads)
{
	const uint8 *codes = ranked->codes;
	const RankedNode *nodes[GROUP];

	for (uint32 i = 0; i < GROUP; i++)
		nodes[i] = &ranked->nodes[entries[i]];
	while (n_levels > 0)
	{
		uint32		inner = 0;

		for (uint32 levels = Min(n_levels, 4); levels > 0; levels--, n_levels--)
#pragma GCC unroll 8
			for (uint32 i = 0; i < GROUP; i++)
				nodes[i] += (size_t) nodes[i]->left + (codes[nodes[i]->code] > nodes[i]->rank);
		for (uint32 i = 0; i < GROUP; i++)
			inner |= nodes[i]->left;
		if (inner == 0)
			break;
	}
	for (uint32 i = 0; i < GROUP; i++)
		payloads[i] = nodes[i]->payload;
}

/*
 * The splits of eight bytes of each tree's chunk, four at most: byte by byte
 * the bits of `compare`. So all of a chunk's splits are looked at, side by side,
 * which takes less than to go from one to the next.
 */
PLM_INLINE TARGET Vector
compare_splits(const uint8 *chunks, const uint32 *offsets, const Codes *codes, uint32 n_codes)
{
	uint64		splits[LANES] __attribute__((aligned(64)));
	uint8		bits[LANES] __attribute__((aligned(64)));

#pragma GCC unroll 8
	for (uint32 i = 0; i < LANES; i++)
		memcpy(&splits[i], chunks + offsets[i], sizeof(uint64));
	compare((const uint8 *) splits, codes, n_codes, bits);
	return load(bits);
}

/* Right or left at one of four splits. */
#define RIGHT(splits, number, left, right) choose(has_bit(splits, (char) (2 << 2 * (number))), left, right)

/* The leaf below a chunk's splits, which are in heap order: three in the first eight bytes, or seven in sixteen. */
PLM_INLINE TARGET Vector
choose_leaf(uint32 n_levels, Vector first, Vector second)
{
	Vector		left = RIGHT(first, 1, filled(0), filled(1));
	Vector		right = RIGHT(first, 2, filled(2), filled(3));

	if (n_levels == 1)
		return RIGHT(first, 0, filled(0), filled(1));
	if (n_levels == 3)
	{
		left = RIGHT(first, 1, RIGHT(first, 3, filled(0), filled(1)), RIGHT(second, 0, filled(2), filled(3)));
		right = RIGHT(first, 2, RIGHT(second, 1, filled(4), filled(5)), RIGHT(second, 2, filled(6), filled(7)));
	}
	return RIGHT(first, 0, left, right);
}

/* The levels below where they lie in chunks: where in the block's chunks the leaves' payloads are. */
PLM_INLINE TARGET void
walk_chunks(const Block *block, const Codes *codes, uint32 n_codes, uint32 n_top, uint32 n_levels,
			const uint8 *places, uint32 *offsets)
{
	const uint8 *chunks = block->chunks;
	uint8		leaves[LANES] __attribute__((aligned(64)));
	Vector		first;
	Vector		second;

	for (uint32 i = 0; i < LANES; i++)
		offsets[i] = ((i << n_top) + places[i]) << CHUNK_SHIFT(n_levels);
	first = second = compare_splits(chunks, offsets, codes, n_codes);
	if (n_levels == 3)
		second = compare_splits(chunks + sizeof(uint64), offsets, codes, n_codes);
	store(leaves, choose_leaf(n_levels, first, second));
	for (uint32 i = 0; i < LANES; i++)
		offsets[i] += CHUNK_LEAVES(n_levels) + 4 * leaves[i];
}

PLM_INLINE TARGET void
walk_all_chunks(const Ranked *ranked, const Block *block, const Codes *codes, uint32 n_top, const uint8 *places,
				uint32 *offsets)
{
	if (block->n_deeper == 1)
		walk_chunks(block, codes, ranked->n_codes, n_top, 1, places, offsets);
	else if (block->n_deeper == 2)
		walk_chunks(block, codes, ranked->n_codes, n_top, 2, places, offsets);
	else
		walk_chunks(block, codes, ranked->n_codes, n_top, 3, places, offsets);
}

PLM_INLINE TARGET void
walk_below(const Ranked *ranked, const Block *block, const Codes *codes, uint32 n_top, const uint8 *places,
		   uint32 *payloads)
{
	if (block->chunks != NULL)
	{
		walk_all_chunks(ranked, block, codes, n_top, places, payloads);
		for (uint32 i = 0; i < LANES; i++)
			memcpy(&payloads[i], block->chunks + payloads[i], sizeof(uint32));
		return;
	}
	for (uint32 i = 0; i < LANES; i++)
		payloads[i] = block->entries[(i << n_top) + places[i]];
	if (block->n_deeper > 0)
		for (uint32 i = 0; i < LANES; i += GROUP)
			walk_deeper(ranked, block->n_deeper, &payloads[i], &payloads[i]);
}

/* The most common cases: one sum in single precision, whose addends stand where the walk has ended. */
PLM_INLINE void
add_entries(Ensemble *ensemble, const Block *block, uint32 n_levels, const uint8 *places, uint32 count)
{
	float		sum = ensemble->single[0];

	for (uint32 i = 0; i < count; i++)
	{
		float		value;

		memcpy(&value, &block->entries[(i << n_levels) + places[i]], sizeof(value));
		sum += value;
	}
	ensemble->single[0] = sum;
}

PLM_INLINE void
add_chunks(Ensemble *ensemble, const Block *block, const uint32 *offsets, uint32 count)
{
	float		sum = ensemble->single[0];

	for (uint32 i = 0; i < count; i++)
	{
		float		value;

		memcpy(&value, block->chunks + offsets[i], sizeof(value));
		sum += value;
	}
	ensemble->single[0] = sum;
}

PLM_INLINE TARGET void
walk_block(Ensemble *ensemble, const Codes *codes, uint32 number, uint32 n_levels)
{
	const Ranked *ranked = ensemble->layout;
	const Block *block = &ranked->blocks[number];
	bool		one_single = ensemble->single_sums && ensemble->step.width == 1 && !ensemble->vector_leaves;
	uint32		tree = number * LANES;
	uint32		count = Min(ensemble->n_trees - tree, LANES);
	uint8		places[LANES] __attribute__((aligned(64)));
	uint32		payloads[LANES];

	walk_top(block->top, codes, ranked->n_codes, n_levels, places);
	if (one_single && block->n_deeper == 0)
		add_entries(ensemble, block, n_levels, places, count);
	else if (one_single && block->chunks != NULL)
	{
		walk_all_chunks(ranked, block, codes, n_levels, places, payloads);
		add_chunks(ensemble, block, payloads, count);
	}
	else
	{
		walk_below(ranked, block, codes, n_levels, places, payloads);
		add_payloads(ensemble, tree, payloads, count);
	}
}

PLM_INLINE TARGET void
rank_row(const Ensemble *ensemble, const double *cells)
{
	Ranked	   *ranked = ensemble->layout;

	for (uint32 i = 0; i < ranked->n_columns; i++)
	{
		const Column *column = &ranked->columns[i];
		double		value = cells[ensemble->cells[column->feature]];
		uint8		rank = ensemble->single_splits ? single_rank(ranked, column, (float) value) :
			double_rank(ranked, column, value);

		/* a missing value is greater than nothing: its rank is 0, which goes left everywhere */
		ranked->codes[column->left_code] = rank;
		ranked->codes[column->right_code] = isnan(value) ? MAX_RANK : rank;
	}
}

TARGET static void
walk_ranked(Ensemble *ensemble, const double *cells)
{
	const Ranked *ranked = ensemble->layout;
	Codes		codes;

	rank_row(ensemble, cells);
	codes = load_codes(ranked->codes);
	for (uint32 i = 0; i < ranked->n_blocks; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		switch (ranked->blocks[i].n_levels)
		{
			case 1:
				walk_block(ensemble, &codes, i, 1);
				break;
			case 2:
				walk_block(ensemble, &codes, i, 2);
				break;
			case 3:
				walk_block(ensemble, &codes, i, 3);
				break;
			case 4:
				walk_block(ensemble, &codes, i, 4);
				break;
			case 5:
				walk_block(ensemble, &codes, i, 5);
				break;
			default:
				walk_block(ensemble, &codes, i, 6);
		}
	}
}
