/* Position of a value among a category's values, by hash. */
#ifndef PLMODEL_LOOKUP_H
#define PLMODEL_LOOKUP_H

#include "platform.h"

#define NOT_FOUND UINT32_MAX

typedef struct Lookup Lookup;

extern Lookup *plm_text_lookup(const Text *values, uint32 count);
extern Lookup *plm_number_lookup(double *values, uint32 count);
extern uint32 plm_find_text(const Lookup *lookup, Text value);
extern uint32 plm_find_number(const Lookup *lookup, double value);

#endif
