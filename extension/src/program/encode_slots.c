/* Steps that map one slot. */
#include <math.h>

#include "encode.h"

#define SLOT_STEP(name, expression) \
	static bool \
	name(const Step *step, double *cells, const Text *texts) \
	{ \
		const SlotStep *self = (const SlotStep *) step; \
		double		x = cells[self->slot]; \
		double		a = self->a; \
		\
		(void) texts, (void) a; \
		cells[step->out] = (expression); \
		return true; \
	}

SLOT_STEP(run_impute, isnan(x) ? a : x)
SLOT_STEP(run_null_if, x == a ? NAN : x)
SLOT_STEP(run_is_missing, isnan(x) ? 1.0 : 0.0)
SLOT_STEP(run_add, x + a)
SLOT_STEP(run_subtract, x - a)
SLOT_STEP(run_multiply, x * a)
SLOT_STEP(run_divide, x / a)
SLOT_STEP(run_abs, fabs(x))
SLOT_STEP(run_cbrt, cbrt(x))
SLOT_STEP(run_cos, cos(x))
SLOT_STEP(run_exp, exp(x))
SLOT_STEP(run_expm1, expm1(x))
SLOT_STEP(run_log, log(x))
SLOT_STEP(run_log1p, log1p(x))
SLOT_STEP(run_log2, log2(x))
SLOT_STEP(run_log10, log10(x))
SLOT_STEP(run_negative, -x)
SLOT_STEP(run_sign, x > 0 ? 1.0 : x < 0 ? -1.0 : x + 0.0)
SLOT_STEP(run_sin, sin(x))
SLOT_STEP(run_sqrt, sqrt(x))
SLOT_STEP(run_square, x * x)
SLOT_STEP(run_tanh, tanh(x))
/* beyond 1e154 the square overflows; the limit is reached long before */
SLOT_STEP(run_smooth_clip, fabs(x) > 1e100 ? copysign(3.0, x) : x / sqrt(1.0 + (x / 3.0) * (x / 3.0)))

typedef struct ClipStep
{
	Step		step;
	uint32		slot;
	double		low;
	double		high;
} ClipStep;

static bool
run_clip(const Step *step, double *cells, const Text *texts)
{
	const ClipStep *self = (const ClipStep *) step;
	double		x = cells[self->slot];

	(void) texts;
	cells[step->out] = x < self->low ? self->low : x > self->high ? self->high : x;
	return true;
}

static const StepRun unary_functions[] = {
	run_abs, run_cbrt, run_cos, run_exp, run_expm1, run_log, run_log1p, run_log2, run_log10, run_negative,
	run_sign, run_sin, run_sqrt, run_square, run_tanh, run_smooth_clip
};

static const StepRun arithmetic_functions[] = {run_add, run_subtract, run_multiply, run_divide};

static Step *
parse_slot_step(StepParser *parser, StepRun run, bool has_constant)
{
	SlotStep   *self = plm_new_step(parser, sizeof(SlotStep), run, 1);

	self->slot = plm_read_slot(parser);
	if (has_constant)
		self->a = read_f64(&parser->reader);
	return &self->step;
}

static Step *
parse_function_step(StepParser *parser, const StepRun *functions, size_t n_functions, bool has_constant)
{
	uint8		function = read_u8(&parser->reader);

	if (function >= n_functions)
		plm_reject("an operation is unknown");
	return parse_slot_step(parser, functions[function], has_constant);
}

Step *
plm_parse_impute(StepParser *parser)
{
	return parse_slot_step(parser, run_impute, true);
}

Step *
plm_parse_null_if(StepParser *parser)
{
	return parse_slot_step(parser, run_null_if, true);
}

Step *
plm_parse_is_missing(StepParser *parser)
{
	return parse_slot_step(parser, run_is_missing, false);
}

Step *
plm_parse_clip(StepParser *parser)
{
	ClipStep   *self = plm_new_step(parser, sizeof(ClipStep), run_clip, 1);

	self->slot = plm_read_slot(parser);
	self->low = read_f64(&parser->reader);
	self->high = read_f64(&parser->reader);
	return &self->step;
}

Step *
plm_parse_arithmetic(StepParser *parser)
{
	return parse_function_step(parser, arithmetic_functions, lengthof(arithmetic_functions), true);
}

Step *
plm_parse_unary(StepParser *parser)
{
	return parse_function_step(parser, unary_functions, lengthof(unary_functions), false);
}
