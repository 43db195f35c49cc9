/* Characters of UTF-8 beyond ASCII: which separate words, and what is their lower case. */
#ifndef PLMODEL_UTF8_H
#define PLMODEL_UTF8_H

#include "platform.h"

/* The code point at the text's beginning and its bytes; a byte that begins none is a separator, a blank. */
extern uint32 plm_decode(const uint8 *bytes, uint32 length, uint32 *n_bytes);
extern bool plm_is_separator(uint32 code);
/* The letter itself where it has no lower case. */
extern uint32 plm_lower_case(uint32 code);

#endif
