/* AVX-512: ranked trees, 64 at a time. Needs VBMI (Ice Lake, Zen 4 and later) to look up bytes. */
#include "program/simd.h"

#ifdef PLM_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt")))
#define LANES 64
typedef __m512i Vector;
typedef __mmask64 Mask;
typedef struct Codes
{
	__m512i		registers[4];
} Codes;

#define load(p) _mm512_load_si512(p)
#define store(p, a) _mm512_store_si512(p, a)
#define zero() _mm512_setzero_si512()
#define choose(mask, a, b) _mm512_mask_blend_epi8(mask, a, b)
#define greater(a, b) _mm512_cmpgt_epu8_mask(a, b)
#define add_bit(places, mask, bit) _mm512_mask_add_epi8(places, mask, places, _mm512_set1_epi8(bit))
#define has_bit(a, bit) _mm512_test_epi8_mask(a, _mm512_set1_epi8(bit))
#define filled(byte) _mm512_set1_epi8(byte)
#define compare compare_pairs
#define look_up look_up_bytes
#define single_rank rank_single
#define double_rank rank_double

#include "ranked.h"

PLM_INLINE TARGET Codes
load_codes(const uint8 *bytes)
{
	Codes		codes;

	for (int i = 0; i < 4; i++)
		codes.registers[i] = _mm512_loadu_si512(bytes + 64 * i);
	return codes;
}

PLM_INLINE TARGET __m512i
look_up_bytes(const Codes *codes, __m512i numbers, uint32 n_codes)
{
	const __m512i *registers = codes->registers;
	__m512i		low = _mm512_permutex2var_epi8(registers[0], numbers, registers[1]);

	if (n_codes <= 128)
		return low;
	return _mm512_mask_blend_epi8(_mm512_movepi8_mask(numbers), low,
								  _mm512_permutex2var_epi8(registers[2], numbers, registers[3]));
}

/* A code stands behind its rank: ranks are moved to where the codes are. */
PLM_INLINE TARGET void
compare_pairs(const uint8 *splits, const Codes *codes, uint32 n_codes, uint8 *bits)
{
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
	{
		__m512i		some = _mm512_load_si512(splits + 64 * i);
		uint64		beyond = _mm512_cmpgt_epu8_mask(look_up_bytes(codes, some, n_codes), _mm512_slli_epi16(some, 8));

		memcpy(bits + 8 * i, &beyond, sizeof(beyond));
	}
}

/* How many of 16 numbers are less. */
PLM_INLINE TARGET uint32
count_single(const float *numbers, __m512 value)
{
	return (uint32) __builtin_popcount(_mm512_cmp_ps_mask(value, _mm512_loadu_ps(numbers), _CMP_GT_OQ));
}

PLM_INLINE TARGET uint8
rank_single(const Ranked *ranked, const Column *column, float value)
{
	__m512		values = _mm512_set1_ps(value);
	uint32		run = count_single(&ranked->singles[column->pivots], values);

	return (uint8) (16 * run + count_single(&ranked->singles[column->thresholds + 16 * run], values));
}

PLM_INLINE TARGET uint32
count_double(const double *numbers, __m512d value)
{
	uint32		low = _mm512_cmp_pd_mask(value, _mm512_loadu_pd(numbers), _CMP_GT_OQ);
	uint32		high = _mm512_cmp_pd_mask(value, _mm512_loadu_pd(numbers + 8), _CMP_GT_OQ);

	return (uint32) __builtin_popcount(low | high << 8);
}

PLM_INLINE TARGET uint8
rank_double(const Ranked *ranked, const Column *column, double value)
{
	__m512d		values = _mm512_set1_pd(value);
	uint32		run = count_double(&ranked->doubles[column->pivots], values);

	return (uint8) (16 * run + count_double(&ranked->doubles[column->thresholds + 16 * run], values));
}

#include "ranked_walk.h"

bool
plm_choose_avx512_kernel(Ensemble *ensemble)
{
	if (!__builtin_cpu_supports("avx512vbmi") || !plm_rank_trees(ensemble, LANES))
		return false;
	ensemble->kernel = walk_ranked;
	ensemble->kernel_name = "avx512";
	return true;
}

#else
#include "ensemble.h"

bool
plm_choose_avx512_kernel(Ensemble *ensemble)
{
	(void) ensemble;
	return false;
}

#endif
