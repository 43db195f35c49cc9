#include "leaves.h"

bool
plm_choose_avx512_kernel(Ensemble *ensemble)
{
	(void) ensemble;
	return false;
}
