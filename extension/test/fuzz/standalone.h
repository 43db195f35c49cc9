/* The host that parsers and kernels run in outside of Postgres. */
#ifndef PLMODEL_STANDALONE_H
#define PLMODEL_STANDALONE_H

#include "program/program.h"

/* The program, or NULL where the body is refused (see standalone_reason). */
extern Program *standalone_parse(const uint8 *bytes, size_t length);

/* Decode base64 and take its checksum; false where it is refused. */
extern bool standalone_decode(const char *text, size_t length);
/* Most bytes that the last parsing had in use at any time, as the server counts them. */
extern size_t standalone_most_in_use(void);
extern const char *standalone_reason(void);
extern void standalone_free(void);

#endif
