#include "simd.h"

int			plm_kernel_setting = KERNEL_AUTO;

static Isa
best_isa(void)
{
#ifdef PLM_X86
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		return ISA_AVX512;
	if (__builtin_cpu_supports("avx2"))
		return ISA_AVX2;
#endif
	return ISA_SCALAR;
}

Isa
plm_isa(void)
{
	Isa			best = best_isa();

	return plm_kernel_setting == KERNEL_AUTO ? best : Min(best, (Isa) plm_kernel_setting);
}
