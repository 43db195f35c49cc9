/* The body as a whole: header, inputs, steps, refusals, output (docs/plmodel-format.md). */
#include "parse.h"

#include <math.h>

#include "encode.h"
#include "reader.h"
#include "score.h"
#include "trees/ensemble.h"

#define FORMAT_VERSION 1
#define HEADER_SIZE 16
#define FIRST_SCORER 32
#define OPCODE_ENSEMBLE 32

/* A function has at most 100 arguments, but a composite argument as many columns as a table. */
#define MAX_INPUTS 1600

static Role
parse_header(Reader *reader, size_t length)
{
	const uint8 *magic = read_bytes(reader, 4);
	uint16		version;
	uint8		role;
	uint32		checksum;

	if (memcmp(magic, "PLMB", 4) != 0)
		plm_reject("it lacks a scoring program's first bytes");
	version = read_u16(reader);
	if (version != FORMAT_VERSION)
		plm_reject_unsupported("its format is version %u, this library reads version %u", version, FORMAT_VERSION);
	role = read_u8(reader);
	if (role >= N_ROLES || read_u8(reader) != 0)
		plm_reject("its role is unknown");
	if (read_u32(reader) != length)
		plm_reject("its length is not the one it states");
	checksum = read_u32(reader);
#ifndef PLMODEL_NO_CHECKSUM
	if (checksum != plm_crc32(reader->position, length - HEADER_SIZE))
		plm_reject("its checksum is wrong");
#else
	(void) checksum;
#endif
	return (Role) role;
}

static const char *
parse_string(Reader *reader, uint32 *length)
{
	Text		text;

	text.length = read_count(reader, 1);
	text.bytes = (const char *) read_bytes(reader, text.length);
	text = plm_server_text(text);
	if (length != NULL)
		*length = text.length;
	return text.bytes;
}

static void
parse_inputs(Reader *reader, Program *program)
{
	program->n_inputs = read_count(reader, 5);
	if (program->n_inputs > MAX_INPUTS)
		plm_reject("it has more than %d inputs", MAX_INPUTS);
	program->inputs = plm_alloc(sizeof(Input) * program->n_inputs);
	for (uint32 i = 0; i < program->n_inputs; i++)
	{
		Input	   *input = &program->inputs[i];
		uint8		kind = read_u8(reader);

		if (kind >= N_INPUT_KINDS)
			plm_reject("the kind of an input is unknown");
		input->kind = (InputKind) kind;
		input->name = parse_string(reader, NULL);
		input->number_cell = input->time_cell = NO_CELL;
		if (input->kind == INPUT_TEXT)
			input->text = program->n_texts++;
	}
}

static void
parse_steps(Reader *reader, Program *program)
{
	uint32		n_steps = read_count(reader, 5);
	uint32		out = 0;

	program->steps = plm_alloc(sizeof(Step *) * (size_t) n_steps);
	for (uint32 i = 0; i < n_steps; i++)
	{
		uint8		opcode = read_u8(reader);
		StepParser	parser = {read_section(reader), program, out};
		Step	   *step;

		CHECK_FOR_INTERRUPTS();
		if (opcode < FIRST_SCORER)
			step = plm_parse_encoder(&parser, opcode);
		else if (opcode == OPCODE_ENSEMBLE)
			step = plm_parse_ensemble(&parser);
		else
			step = plm_parse_scorer(&parser, opcode);
		read_end(&parser.reader, "a step");
		out += step->width;
		if (step->run != NULL)
			program->steps[program->n_steps++] = step;
	}
	if (out != program->n_slots)
		plm_reject("its steps have fewer slots than it states");
}

static void
parse_refusals(Reader *reader, Program *program)
{
	program->n_refusals = read_count(reader, 13);
	program->refusals = plm_alloc(sizeof(Refusal) * (size_t) program->n_refusals);
	for (uint32 i = 0; i < program->n_refusals; i++)
	{
		Refusal    *refusal = &program->refusals[i];

		PLM_CHECK_INTERRUPTS(i);
		refusal->slot = read_below(reader, program->n_slots, "a slot");
		refusal->missing = read_u8(reader) != 0;
		refusal->above = read_f64(reader);
		if (isnan(refusal->above))
			plm_reject("a refusal's limit is NaN");
	}
}

static void
parse_labels(Reader *reader, Output *output)
{
	output->n_labels = read_count(reader, 5);
	output->labels = plm_alloc(sizeof(Label) * (size_t) output->n_labels);
	for (uint32 i = 0; i < output->n_labels; i++)
	{
		uint8		type = read_u8(reader);

		PLM_CHECK_INTERRUPTS(i);
		if (type >= N_LABEL_TYPES)
			plm_reject("the type of a label is unknown");
		output->labels[i].type = (LabelType) type;
		output->labels[i].text = parse_string(reader, &output->labels[i].length);
	}
}

static void
parse_output(Reader *reader, Program *program)
{
	Output	   *output = &program->output;
	uint8		kind = read_u8(reader);
	bool		has_probabilities;

	if (kind >= N_OUTPUT_KINDS)
		plm_reject("the kind of its output is unknown");
	output->kind = (OutputKind) kind;
	output->or_equal = read_u8(reader) != 0;
	output->threshold = read_f64(reader);
	parse_labels(reader, output);
	output->n_scores = read_count(reader, 4);
	output->scores = read_indexes(reader, output->n_scores, program->n_slots, "a slot");
	has_probabilities = read_u8(reader) != 0;
	if (has_probabilities)
		output->probabilities = read_indexes(reader, output->n_labels, program->n_slots, "a slot");
	if (output->kind == OUTPUT_VALUE || output->kind == OUTPUT_BINARY ?
		output->n_scores != 1 || output->n_labels != (output->kind == OUTPUT_BINARY ? 2 : 0) :
		output->n_scores == 0 || output->n_scores != output->n_labels)
		plm_reject("its labels and scores do not match");
	if (program->role == ROLE_PROBABILITIES && !has_probabilities)
		plm_reject("it has no probabilities");
	if (program->role == ROLE_DISTANCES && output->kind != OUTPUT_CLUSTER)
		plm_reject("it has no distances");
}

/*
 * Parse and check a whole body. Everything a row could make a step read or
 * write is checked here, once; running a program checks nothing any more.
 */
Program *
plm_parse(const uint8 *bytes, size_t length)
{
	Reader		reader = {bytes, bytes + length};
	Program    *program = plm_alloc(sizeof(Program));

	program->role = parse_header(&reader, length);
	parse_inputs(&reader, program);
	program->n_slots = read_u32(&reader);
	/* the densest step, Characters, spends a byte on a slot: the memory stays within some ten times the body's */
	if (program->n_slots > length)
		plm_reject("a count is greater than the body can hold");
	parse_steps(&reader, program);
	parse_refusals(&reader, program);
	parse_output(&reader, program);
	read_end(&reader, "it");

	program->n_cells += program->n_slots;
	program->cells = plm_alloc(sizeof(double) * (size_t) program->n_cells);
	program->texts = plm_alloc(sizeof(Text) * (size_t) program->n_texts);
	return program;
}
