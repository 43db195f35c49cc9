/* A program on a row. */
#ifndef PLMODEL_RUN_H
#define PLMODEL_RUN_H

#include "program.h"

extern bool plm_run(const Program *program);
extern uint32 plm_best_label(const Output *output, const double *cells);

#endif
