/* What the parsers of single steps share. */
#ifndef PLMODEL_STEP_H
#define PLMODEL_STEP_H

#include "program.h"
#include "reader.h"

typedef struct StepParser
{
	Reader		reader;			/* of the step's own bytes */
	Program    *program;
	uint32		out;			/* slots before this step's */
} StepParser;

extern void *plm_new_step(StepParser *parser, size_t size, StepRun run, size_t width);
extern uint32 plm_input_number_cell(StepParser *parser, uint32 input);
extern uint32 plm_read_slot(StepParser *parser);
extern uint32 *plm_read_slots(StepParser *parser, uint32 *count);

#endif
