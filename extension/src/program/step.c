#include "step.h"

/*
 * Where an input stands as a double. The slot of the first Number step that
 * reads it is made that place (the step itself then has nothing to do);
 * otherwise it gets a cell behind the slots, whose number is settled last.
 */
uint32
plm_input_number_cell(StepParser *parser, uint32 index)
{
	Input	   *input = &parser->program->inputs[index];

	if (input->number_cell == NO_CELL)
		input->number_cell = parser->program->n_slots + parser->program->n_cells++;
	return input->number_cell;
}

uint32
plm_read_slot(StepParser *parser)
{
	return read_below(&parser->reader, parser->out, "a slot");
}

uint32 *
plm_read_slots(StepParser *parser, uint32 *count)
{
	*count = read_count(&parser->reader, 4);
	if (*count == 0)
		plm_reject("a step has no slots");
	return read_indexes(&parser->reader, *count, parser->out, "a slot");
}

void *
plm_new_step(StepParser *parser, size_t size, StepRun run, size_t width)
{
	Step	   *step = plm_alloc(size);

	if (width > parser->program->n_slots - parser->out)
		plm_reject("its steps have more slots than it states");
	step->run = run;
	step->out = parser->out;
	step->width = (uint32) width;
	return step;
}
