/* Activations and links: as many outputs as slots. */
#include <math.h>

#include "score.h"

typedef struct SlotsStep
{
	Step		step;
	uint32		count;
	uint32	   *slots;
} SlotsStep;

/* Slots between two looks at interrupts. */
#define STRIDE 4096

/* A step that maps each of its slots by itself. */
#define SLOTS_STEP(name, expression) \
	static bool \
	name(const Step *step, double *cells, const Text *texts) \
	{ \
		const SlotsStep *self = (const SlotsStep *) step; \
		double	   *out = &cells[step->out]; \
		\
		(void) texts; \
		for (uint32 first = 0; first < self->count; first += STRIDE) \
		{ \
			uint32		last = Min(self->count - first, STRIDE) + first; \
			\
			CHECK_FOR_INTERRUPTS(); \
			for (uint32 i = first; i < last; i++) \
			{ \
				double		x = cells[self->slots[i]]; \
				\
				out[i] = (expression); \
			} \
		} \
		return true; \
	}

/* exp in single precision is computed in double and rounded once; see Link in postgres_ml/program/scorers.py. */
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
	{
		PLM_CHECK_INTERRUPTS(i);
		max = Max(cells[self->slots[i]], max);
	}
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
		PLM_CHECK_INTERRUPTS(i);
		out[i] = exp(cells[self->slots[i]] - max);
		sum += out[i];
	}
	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		out[i] /= sum;
	}
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
		PLM_CHECK_INTERRUPTS(i);
		out[i] = exp_single((float) cells[self->slots[i]] - max);
		sum += out[i];
	}
	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		out[i] = (float) out[i] / (float) sum;
	}
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
	{
		PLM_CHECK_INTERRUPTS(i);
		sum += cells[self->slots[i]];
	}
	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		out[i] = sum == 0 ? 1.0 / self->count : cells[self->slots[i]] / sum;
	}
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
	{
		PLM_CHECK_INTERRUPTS(i);
		sum += (float) cells[self->slots[i]];
	}
	for (uint32 i = 0; i < self->count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		out[i] = (float) sum == 0 ? (float) (1.0 / self->count) : (float) cells[self->slots[i]] / (float) sum;
	}
	return true;
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

Step *
plm_parse_activation(StepParser *parser)
{
	static const StepRun functions[] = {run_relu, run_tanh, run_logistic, run_silu};

	return parse_slots_step(parser, functions, lengthof(functions));
}

Step *
plm_parse_link(StepParser *parser)
{
	/* double precision, then single */
	static const StepRun functions[] = {run_logistic, run_softmax, run_exp, run_normalize,
		run_logistic_single, run_softmax_single, run_exp_single, run_normalize_single};

	return parse_slots_step(parser, functions, lengthof(functions));
}
