/*
 * A scoring program, ready to run: what a body is parsed into.
 *
 * A row is an array of cells, one double for each slot, then one for each input
 * that no slot stands for. NaN is missing. Steps read cells before their own.
 */
#ifndef PLMODEL_PROGRAM_H
#define PLMODEL_PROGRAM_H

#include "platform.h"

typedef enum InputKind
{
	INPUT_NUMBER, INPUT_BOOLEAN, INPUT_TEXT, INPUT_DATE, INPUT_TIME, INPUT_TIMESTAMP, INPUT_TIMESTAMPTZ,
	N_INPUT_KINDS
} InputKind;

#define NO_CELL UINT32_MAX

typedef struct Input
{
	InputKind	kind;
	const char *name;			/* with its final NUL */
	uint32		number_cell;	/* where the input goes as a double, or NO_CELL */
	uint32		time_cell;		/* where it goes as an int64, or NO_CELL: dates in days since 1970, times in
								 * microseconds since midnight, timestamps in microseconds since 2000 */
	uint32		text;			/* text kind: index into the row's texts */
	bool		text_read;
} Input;

typedef struct Step Step;

/* Compute a step's slots; false refuses the row: its prediction is NULL. */
typedef bool (*StepRun) (const Step *step, double *cells, const Text *texts);

struct Step
{
	StepRun		run;
	uint32		out;			/* first slot */
	uint32		width;
};

typedef struct Refusal
{
	uint32		slot;
	bool		missing;
	double		above;			/* greatest absolute value that is taken; infinity: no limit */
} Refusal;

typedef enum LabelType
{
	LABEL_STRING, LABEL_NUMBER, LABEL_BOOLEAN, N_LABEL_TYPES
} LabelType;

typedef struct Label
{
	LabelType	type;			/* as JSON writes it */
	const char *text;			/* as the return type's input function reads it */
	uint32		length;
} Label;

typedef enum OutputKind
{
	OUTPUT_VALUE, OUTPUT_BINARY, OUTPUT_MULTICLASS, OUTPUT_CLUSTER, N_OUTPUT_KINDS
} OutputKind;

typedef struct Output
{
	OutputKind	kind;
	bool		or_equal;		/* binary: >= rather than > */
	double		threshold;		/* binary */
	uint32		n_labels;
	Label	   *labels;
	uint32		n_scores;
	uint32	   *scores;			/* slots */
	uint32	   *probabilities;	/* slots, n_labels of them, or NULL */
} Output;

typedef enum Role
{
	ROLE_PREDICT, ROLE_PROBABILITIES, ROLE_DISTANCES, N_ROLES
} Role;

typedef struct Program
{
	Role		role;
	uint32		n_inputs;
	Input	   *inputs;
	uint32		n_steps;
	Step	  **steps;
	uint32		n_refusals;
	Refusal    *refusals;
	Output		output;
	uint32		n_slots;
	uint32		n_cells;		/* slots and inputs' own cells */
	uint32		n_texts;
	double	   *cells;
	Text	   *texts;
	size_t		n_nodes;		/* of all tree ensembles */
	const char *kernel;			/* of the last tree ensemble, or NULL */
} Program;

#endif
