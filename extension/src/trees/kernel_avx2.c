/* AVX2: ranked trees, 32 at a time. */
#include "program/simd.h"

#ifdef PLM_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,popcnt")))
#define LANES 32
typedef __m256i Vector;
typedef __m256i Mask;
typedef const uint8 *Codes;

#define load(p) _mm256_load_si256((const __m256i *) (p))
#define store(p, a) _mm256_store_si256((__m256i *) (p), a)
#define zero() _mm256_setzero_si256()
#define choose(mask, a, b) _mm256_blendv_epi8(a, b, mask)
/* max(a, b) = b where a <= b */
#define greater(a, b) not_equal(_mm256_max_epu8(a, b), b)
#define add_bit(places, mask, bit) _mm256_or_si256(places, _mm256_and_si256(mask, _mm256_set1_epi8(bit)))
#define has_bit(a, bit) _mm256_cmpeq_epi8(_mm256_and_si256(a, _mm256_set1_epi8(bit)), _mm256_set1_epi8(bit))
#define filled(byte) _mm256_set1_epi8(byte)
#define load_codes(bytes) (bytes)
#define look_up(codes, numbers, n_codes) look_up_bytes(*(codes), numbers, n_codes)
#define compare compare_pairs
#define single_rank rank_single
#define double_rank rank_double

#include "ranked.h"

PLM_INLINE TARGET __m256i
not_equal(__m256i a, __m256i b)
{
	return _mm256_xor_si256(_mm256_cmpeq_epi8(a, b), _mm256_set1_epi8(-1));
}

/*
 * The codes of these numbers. A shuffle looks up 16 bytes, and gives 0 where an
 * index's highest bit is set: an index outside of the 16 is made so by an
 * addition that saturates.
 */
PLM_INLINE TARGET __m256i
look_up_bytes(const uint8 *codes, __m256i numbers, uint32 n_codes)
{
	const __m256i outside = _mm256_set1_epi8(0x70);
	const __m256i sixteen = _mm256_set1_epi8(16);
	__m256i		found = _mm256_setzero_si256();

	for (uint32 first = 0; first < n_codes; first += 16)
	{
		__m256i		table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *) (codes + first)));

		found = _mm256_or_si256(found, _mm256_shuffle_epi8(table, _mm256_adds_epu8(numbers, outside)));
		numbers = _mm256_sub_epi8(numbers, sixteen);
	}
	return found;
}

/* Two vectors at a time, since looking up is what takes long: their codes and their ranks, side by side. */
PLM_INLINE TARGET void
compare_pairs(const uint8 *splits, const Codes *codes, uint32 n_codes, uint8 *bits)
{
	const __m256i low = _mm256_set1_epi16(0xFF);

	for (int i = 0; i < 8; i += 2)
	{
		__m256i		a = _mm256_load_si256((const __m256i *) (splits + 32 * i));
		__m256i		b = _mm256_load_si256((const __m256i *) (splits + 32 * (i + 1)));
		__m256i		ranks = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
		__m256i		numbers = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
		__m256i		beyond = greater(look_up_bytes(*codes, numbers, n_codes), ranks);
		uint32		of_a = (uint32) _mm256_movemask_epi8(_mm256_unpacklo_epi8(beyond, beyond));
		uint32		of_b = (uint32) _mm256_movemask_epi8(_mm256_unpackhi_epi8(beyond, beyond));

		memcpy(bits + 4 * i, &of_a, sizeof(of_a));
		memcpy(bits + 4 * (i + 1), &of_b, sizeof(of_b));
	}
}

/* How many of 16 numbers are less. */
PLM_INLINE TARGET uint32
count_single(const float *numbers, __m256 value)
{
	int			low = _mm256_movemask_ps(_mm256_cmp_ps(value, _mm256_loadu_ps(numbers), _CMP_GT_OQ));
	int			high = _mm256_movemask_ps(_mm256_cmp_ps(value, _mm256_loadu_ps(numbers + 8), _CMP_GT_OQ));

	return (uint32) __builtin_popcount((uint32) (low | high << 8));
}

PLM_INLINE TARGET uint8
rank_single(const Ranked *ranked, const Column *column, float value)
{
	__m256		values = _mm256_set1_ps(value);
	uint32		run = count_single(&ranked->singles[column->pivots], values);

	return (uint8) (16 * run + count_single(&ranked->singles[column->thresholds + 16 * run], values));
}

PLM_INLINE TARGET uint32
count_double(const double *numbers, __m256d value)
{
	uint32		less = 0;

	for (int i = 0; i < 16; i += 4)
		less |= (uint32) _mm256_movemask_pd(_mm256_cmp_pd(value, _mm256_loadu_pd(numbers + i), _CMP_GT_OQ)) << i;
	return (uint32) __builtin_popcount(less);
}

PLM_INLINE TARGET uint8
rank_double(const Ranked *ranked, const Column *column, double value)
{
	__m256d		values = _mm256_set1_pd(value);
	uint32		run = count_double(&ranked->doubles[column->pivots], values);

	return (uint8) (16 * run + count_double(&ranked->doubles[column->thresholds + 16 * run], values));
}

#include "ranked_walk.h"

bool
plm_choose_avx2_kernel(Ensemble *ensemble)
{
	if (!plm_rank_trees(ensemble, LANES))
		return false;
	ensemble->kernel = walk_ranked;
	ensemble->kernel_name = "avx2";
	return true;
}

#else
#include "ensemble.h"

bool
plm_choose_avx2_kernel(Ensemble *ensemble)
{
	(void) ensemble;
	return false;
}

#endif
