/* Rows that any program must take, and what it makes of them. */
#ifndef PLMODEL_HOSTILE_ROWS_H
#define PLMODEL_HOSTILE_ROWS_H

#include "program/program.h"

#define N_HOSTILE_ROWS 6

/* Run the program on one of them; everything it comes to goes into the digest, NaNs made equal. */
extern uint64 digest_hostile_row(const Program *program, uint32 row, uint64 digest);

#endif
