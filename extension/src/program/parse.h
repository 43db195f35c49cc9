/* From a body to a program. */
#ifndef PLMODEL_PARSE_H
#define PLMODEL_PARSE_H

#include "program.h"

extern Program *plm_parse(const uint8 *bytes, size_t length);

#endif
