/* The tree ensemble as a step: a kernel adds the trees' leaves to the base scores, and the sums are divided. */
#include <math.h>

#include "ensemble.h"

#define FLAG_OR_EQUAL 0x01
#define FLAG_DOUBLE_SPLITS 0x02
#define FLAG_DOUBLE_SUMS 0x04
#define FLAG_CATEGORY_GOES_LEFT 0x08
#define FLAG_WIDE_SPLITS 0x10
#define FLAG_VECTOR_LEAVES 0x20
#define ALL_FLAGS 0x3F

static bool
run_single_sums(const Step *step, double *cells, const Text *texts)
{
	const Ensemble *self = (const Ensemble *) step;
	double	   *out = &cells[step->out];

	(void) texts;
	for (uint32 o = 0; o < step->width; o++)
	{
		PLM_CHECK_INTERRUPTS(o);
		self->single[o] = (float) self->base_scores[o];
	}
	self->kernel((Ensemble *) self, cells);
	for (uint32 o = 0; o < step->width; o++)
	{
		PLM_CHECK_INTERRUPTS(o);
		out[o] = self->divisor == 1 ? self->single[o] : self->single[o] / (float) self->divisor;
	}
	return true;
}

static bool
run_double_sums(const Step *step, double *cells, const Text *texts)
{
	const Ensemble *self = (const Ensemble *) step;
	double	   *out = &cells[step->out];

	(void) texts;
	memcpy(self->sums, self->base_scores, sizeof(double) * step->width);
	self->kernel((Ensemble *) self, cells);
	for (uint32 o = 0; o < step->width; o++)
	{
		PLM_CHECK_INTERRUPTS(o);
		out[o] = self->divisor == 1 ? self->sums[o] : self->sums[o] / self->divisor;
	}
	return true;
}

static void
choose_kernel(Ensemble *self)
{
	Isa			isa = plm_isa();

	if (!(isa >= ISA_AVX512 && plm_choose_avx512_kernel(self)) &&
		!(isa >= ISA_AVX2 && plm_choose_avx2_kernel(self)))
		plm_choose_scalar_kernel(self);
}

Step *
plm_parse_ensemble(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	size_t		n_bytes = reader->end - reader->position;
	uint8		flags = read_u8(reader);
	double		divisor = read_f64(reader);
	uint32		n_outputs = read_count(reader, 8);
	Ensemble   *self = plm_new_step(parser, sizeof(Ensemble), run_double_sums, n_outputs);

	if (n_outputs == 0 || (flags & ~ALL_FLAGS) || !(divisor > 0))
		plm_reject("the flags, the divisor or the outputs of a tree ensemble are wrong");
	self->or_equal = flags & FLAG_OR_EQUAL;
	self->single_splits = !(flags & FLAG_DOUBLE_SPLITS);
	self->single_sums = !(flags & FLAG_DOUBLE_SUMS);
	self->category_goes_left = flags & FLAG_CATEGORY_GOES_LEFT;
	self->vector_leaves = flags & FLAG_VECTOR_LEAVES;
	self->n_bytes = n_bytes;
	self->divisor = divisor;
	self->base_scores = read_doubles(reader, n_outputs);
	plm_read_trees(parser, self, flags & FLAG_WIDE_SPLITS);

	choose_kernel(self);
	if (self->single_sums)
	{
		self->step.run = run_single_sums;
		self->single = plm_alloc(sizeof(float) * (size_t) n_outputs);
	}
	else
		self->sums = plm_alloc(sizeof(double) * (size_t) n_outputs);
	parser->program->n_nodes += self->n_nodes;
	parser->program->kernel = self->kernel_name;
	return &self->step;
}
