/* Linear maps and distances: every output is a sum over the same slots. */
#include <math.h>

#include "score.h"
#include "simd.h"

/* Inputs by outputs, padded to a whole number of blocks. */
typedef struct MatrixStep
{
	Step		step;
	uint32		count;			/* inputs */
	uint32	   *slots;
	double	   *matrix;			/* [block][input][BLOCK] */
	double	   *intercepts;		/* [output] */
} MatrixStep;

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

		PLM_CHECK_INTERRUPTS(i);
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

		PLM_CHECK_INTERRUPTS(i);
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
			PLM_CHECK_INTERRUPTS(first / BLOCK); \
			block_function(self, cells, first / BLOCK, BLOCK, sums); \
			memcpy(out + first, sums, sizeof(double) * Min(outputs - first, BLOCK)); \
		}

PLM_INLINE bool
linear(const MatrixStep *self, double *cells)
{
	MATRIX_LOOP(linear_block)
	for (uint32 o = 0; o < outputs; o++)
	{
		PLM_CHECK_INTERRUPTS(o);
		out[o] += self->intercepts[o];
	}
	return true;
}

PLM_INLINE bool
distances(const MatrixStep *self, double *cells)
{
	MATRIX_LOOP(distance_block)
	for (uint32 o = 0; o < outputs; o++)
	{
		PLM_CHECK_INTERRUPTS(o);
		out[o] = sqrt(out[o]);
	}
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
	{
		PLM_CHECK_INTERRUPTS(o);
		for (uint32 i = 0; i < self->count; i++)
		{
			PLM_CHECK_INTERRUPTS(i);
			self->matrix[((size_t) (o / width) * self->count + i) * width + o % width] = read_f64(reader);
		}
	}
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

Step *
plm_parse_linear(StepParser *parser)
{
	return parse_matrix_step(parser, linear_functions, true);
}

Step *
plm_parse_distances(StepParser *parser)
{
	return parse_matrix_step(parser, distance_functions, false);
}
