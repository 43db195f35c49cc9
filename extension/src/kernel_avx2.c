#include "leaves.h"

bool
plm_choose_avx2_kernel(Ensemble *ensemble)
{
	(void) ensemble;
	return false;
}
