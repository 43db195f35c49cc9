/* Steps that score, but for tree ensembles. */
#include <math.h>

#include "program.h"
#include "simd.h"

enum
{
	OP_LINEAR = 33, OP_ACTIVATION, OP_DISTANCES, OP_LINK, OP_WEIGHTED_SUM
};

typedef struct SlotsStep
{
	Step		step;
	uint32		count;
	uint32	   *slots;
} SlotsStep;

/* Linear maps and distances: inputs by outputs, padded to a whole number of blocks. */
typedef struct MatrixStep
{
	Step		step;
	uint32		count;			/* inputs */
	uint32	   *slots;
	double	   *matrix;			/* [block][input][BLOCK] */
	double	   *intercepts;		/* [output] */
} MatrixStep;

typedef struct WeightedSumStep
{
	Step		step;
	uint32		n_groups;
	double	   *weights;
	uint32	   *slots;			/* [group][position] */
} WeightedSumStep;

/* Outputs that are summed side by side: four AVX-512 registers of doubles. */
#define BLOCK 32

PLM_INLINE void
linear_block(const MatrixStep *self, const double *cells, uint32 block, uint32 width, double *out)
{
	const double *row = self->matrix + (size_t) block * self->count * width;
	double		sums[BLOCK] = {0};

	for (uint32 i = 0; i < self->count; i++, row += width)
	{
		double		x = cells[self->slots[i]];

		for (uint32 o = 0; o < width; o++)
			sums[o] += x * row[o];
	}
	memcpy(out, sums, sizeof(double) * width);
}

PLM_INLINE void
distance_block(const MatrixStep *self, const double *cells, uint32 block, uint32 width, double *out)
{
	const double *row = self->matrix + (size_t) block * self->count * width;
	double		sums[BLOCK] = {0};

	for (uint32 i = 0; i < self->count; i++, row += width)
	{
		double		x = cells[self->slots[i]];

		for (uint32 o = 0; o < width; o++)
			sums[o] += (x - row[o]) * (x - row[o]);
	}
	memcpy(out, sums, sizeof(double) * width);
}

/* The width is a constant at each call, so that the compiler can keep the sums in registers. */
#define MATRIX_LOOP(block_function) \
	double		sums[BLOCK]; \
	uint32		outputs = self->step.width; \
	double	   *out = &cells[self->step.out]; \
	\
	if (outputs == 1) \
		block_function(self, cells, 0, 1, out); \
	else if (outputs <= 8) \
	{ \
		block_function(self, cells, 0, 8, sums); \
		memcpy(out, sums, sizeof(double) * outputs); \
	} \
	else \
		for (uint32 first = 0; first < outputs; first += BLOCK) \
		{ \
			block_function(self, cells, first / BLOCK, BLOCK, sums); \
			memcpy(out + first, sums, sizeof(double) * Min(outputs - first, BLOCK)); \
		}

PLM_INLINE bool
linear(const MatrixStep *self, double *cells)
{
	MATRIX_LOOP(linear_block)
	for (uint32 o = 0; o < outputs; o++)
		out[o] += self->intercepts[o];
	return true;
}

PLM_INLINE bool
distances(const MatrixStep *self, double *cells)
{
	MATRIX_LOOP(distance_block)
	for (uint32 o = 0; o < outputs; o++)
		out[o] = sqrt(out[o]);
	return true;
}

#define MATRIX_STEP(name, function, attributes) \
	attributes static bool \
	name(const Step *step, double *cells, const Text *texts) \
	{ \
		(void) texts; \
		return function((const MatrixStep *) step, cells); \
	}

MATRIX_STEP(run_linear, linear, )
MATRIX_STEP(run_distances, distances, )
#ifdef PLM_X86
MATRIX_STEP(run_linear_avx2, linear, PLM_AVX2)
MATRIX_STEP(run_linear_avx512, linear, PLM_AVX512)
MATRIX_STEP(run_distances_avx2, distances, PLM_AVX2)
MATRIX_STEP(run_distances_avx512, distances, PLM_AVX512)
static const StepRun linear_functions[] = {run_linear, run_linear_avx2, run_linear_avx512};
static const StepRun distance_functions[] = {run_distances, run_distances_avx2, run_distances_avx512};
#else
static const StepRun linear_functions[] = {run_linear, run_linear, run_linear};
static const StepRun distance_functions[] = {run_distances, run_distances, run_distances};
#endif

/* A step that maps each of its slots by itself. */
#define SLOTS_STEP(name, expression) \
	static bool \
	name(const Step *step, double *cells, const Text *texts) \
	{ \
		const SlotsStep *self = (const SlotsStep *) step; \
		double	   *out = &cells[step->out]; \
		\
		(void) texts; \
		for (uint32 i = 0; i < self->count; i++) \
		{ \
			double		x = cells[self->slots[i]]; \
			\
			out[i] = (expression); \
		} \
		return true; \
	}

/* exp in single precision is computed in double and rounded once (see program/scorers.py, Link). */
static inline float
exp_single(float x)
{
	return (float) exp((double) x);
}

/* x * 0 at minus infinity would be NaN; the limit is 0 */
SLOTS_STEP(run_relu, x > 0 || isnan(x) ? x : 0.0)
SLOTS_STEP(run_tanh, tanh(x))
SLOTS_STEP(run_logistic, 1.0 / (exp(-x) + 1.0))
SLOTS_STEP(run_silu, x == -INFINITY ? 0.0 : x * (1.0 / (exp(-x) + 1.0)))
SLOTS_STEP(run_exp, exp(x))
SLOTS_STEP(run_logistic_single, 1.0f / (exp_single(-(float) x) + 1.0f))
SLOTS_STEP(run_exp_single, exp_single((float) x))

static double
greatest(const SlotsStep *self, const double *cells)
{
	double		max = cells[self->slots[0]];

	for (uint32 i = 1; i < self->count; i++)
		max = Max(cells[self->slots[i]], max);
	return max;
}

static bool
run_softmax(const Step *step, double *cells, const Text *texts)
{
	const SlotsStep *self = (const SlotsStep *) step;
	double	   *out = &cells[step->out];
	double		max = greatest(self, cells);
	double		sum = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
	{
		out[i] = exp(cells[self->slots[i]] - max);
		sum += out[i];
	}
	for (uint32 i = 0; i < self->count; i++)
		out[i] /= sum;
	return true;
}

/* As xgboost: single precision but for the sum, which is rounded at its end. */
static bool
run_softmax_single(const Step *step, double *cells, const Text *texts)
{
	const SlotsStep *self = (const SlotsStep *) step;
	double	   *out = &cells[step->out];
	float		max = (float) greatest(self, cells);
	double		sum = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
	{
		out[i] = exp_single((float) cells[self->slots[i]] - max);
		sum += out[i];
	}
	for (uint32 i = 0; i < self->count; i++)
		out[i] = (float) out[i] / (float) sum;
	return true;
}

static bool
run_normalize(const Step *step, double *cells, const Text *texts)
{
	const SlotsStep *self = (const SlotsStep *) step;
	double	   *out = &cells[step->out];
	double		sum = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
		sum += cells[self->slots[i]];
	for (uint32 i = 0; i < self->count; i++)
		out[i] = sum == 0 ? 1.0 / self->count : cells[self->slots[i]] / sum;
	return true;
}

static bool
run_normalize_single(const Step *step, double *cells, const Text *texts)
{
	const SlotsStep *self = (const SlotsStep *) step;
	double	   *out = &cells[step->out];
	double		sum = 0;

	(void) texts;
	for (uint32 i = 0; i < self->count; i++)
		sum += (float) cells[self->slots[i]];
	for (uint32 i = 0; i < self->count; i++)
		out[i] = (float) sum == 0 ? (float) (1.0 / self->count) : (float) cells[self->slots[i]] / (float) sum;
	return true;
}

static bool
run_weighted_sum(const Step *step, double *cells, const Text *texts)
{
	const WeightedSumStep *self = (const WeightedSumStep *) step;
	double	   *out = &cells[step->out];

	(void) texts;
	for (uint32 i = 0; i < step->width; i++)
	{
		double		sum = 0;

		for (uint32 g = 0; g < self->n_groups; g++)
			sum += self->weights[g] * cells[self->slots[(size_t) g * step->width + i]];
		out[i] = sum;
	}
	return true;
}

/* Weights arrive a row for each output and are laid out for MATRIX_LOOP. */
static void
read_matrix(Reader *reader, MatrixStep *self)
{
	uint32		outputs = self->step.width;
	uint32		width = outputs == 1 ? 1 : outputs <= 8 ? 8 : BLOCK;
	size_t		n_blocks = (outputs + width - 1) / width;

	if ((uint64) outputs * self->count > (size_t) (reader->end - reader->position) / 8)
		plm_reject("a count is greater than the body can hold");
	self->matrix = plm_alloc(sizeof(double) * n_blocks * self->count * width);
	for (uint32 o = 0; o < outputs; o++)
		for (uint32 i = 0; i < self->count; i++)
			self->matrix[((size_t) (o / width) * self->count + i) * width + o % width] = read_f64(reader);
}

static Step *
parse_matrix_step(StepParser *parser, const StepRun *functions, bool has_intercepts)
{
	Reader	   *reader = &parser->reader;
	uint32		count = read_count(reader, 4);
	uint32	   *slots = read_indexes(reader, count, parser->out, "a slot");
	uint32		outputs = read_count(reader, 8);
	MatrixStep *self = plm_new_step(parser, sizeof(MatrixStep), functions[plm_isa()], outputs);

	if (outputs == 0 || (count == 0 && !has_intercepts))
		plm_reject("a step has no slots or no outputs");
	self->count = count;
	self->slots = slots;
	read_matrix(reader, self);
	if (has_intercepts)
		self->intercepts = read_doubles(reader, outputs);
	return &self->step;
}

static Step *
parse_slots_step(StepParser *parser, const StepRun *functions, size_t n_functions)
{
	uint8		function = read_u8(&parser->reader);
	uint32		count;
	uint32	   *slots = plm_read_slots(parser, &count);
	SlotsStep  *self;

	if (function >= n_functions)
		plm_reject("an operation is unknown");
	self = plm_new_step(parser, sizeof(SlotsStep), functions[function], count);
	self->count = count;
	self->slots = slots;
	return &self->step;
}

static Step *
parse_weighted_sum(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	uint32		n_groups = read_count(reader, 8);
	uint32		width = read_count(reader, 4);
	WeightedSumStep *self = plm_new_step(parser, sizeof(WeightedSumStep), run_weighted_sum, width);

	if (n_groups == 0 || width == 0)
		plm_reject("a step has no slots");
	self->n_groups = n_groups;
	self->weights = read_doubles(reader, n_groups);
	if ((uint64) n_groups * width > (size_t) (reader->end - reader->position) / 4)
		plm_reject("a count is greater than the body can hold");
	self->slots = read_indexes(reader, n_groups * width, parser->out, "a slot");
	return &self->step;
}

Step *
plm_parse_scorer(StepParser *parser, uint8 opcode)
{
	static const StepRun activations[] = {run_relu, run_tanh, run_logistic, run_silu};
	/* double precision, then single */
	static const StepRun links[] = {run_logistic, run_softmax, run_exp, run_normalize,
		run_logistic_single, run_softmax_single, run_exp_single, run_normalize_single};

	switch (opcode)
	{
		case OP_LINEAR:
			return parse_matrix_step(parser, linear_functions, true);
		case OP_ACTIVATION:
			return parse_slots_step(parser, activations, lengthof(activations));
		case OP_DISTANCES:
			return parse_matrix_step(parser, distance_functions, false);
		case OP_LINK:
			return parse_slots_step(parser, links, lengthof(links));
		case OP_WEIGHTED_SUM:
			return parse_weighted_sum(parser);
		default:
			plm_reject_unsupported("a step's code is %u, which this library does not know", opcode);
	}
}
