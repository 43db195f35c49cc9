/*
 * One source, three instruction sets: a function body marked PLM_INLINE is
 * compiled once for each. Floating-point results are the same in all: the
 * loops are vectorised across independent sums only, each sum keeps its order,
 * and -ffp-contract=off keeps multiplication and addition apart.
 */
#ifndef PLMODEL_SIMD_H
#define PLMODEL_SIMD_H

#include "platform.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define PLM_X86 1
#define PLM_AVX2 __attribute__((target("avx2")))
#define PLM_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#endif

typedef enum Isa
{
	ISA_SCALAR, ISA_AVX2, ISA_AVX512
} Isa;

/* The setting plmodel.kernel: an Isa, or the best that there is. */
enum
{
	KERNEL_AUTO = -1
};

extern int	plm_kernel_setting;

/* Best instruction set that the machine has and the setting allows. */
extern Isa plm_isa(void);

#endif
