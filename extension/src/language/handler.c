/* The language: call handler, validator, and its settings. */
#include "model.h"

#include <limits.h>

#include "access/htup_details.h"
#include "miscadmin.h"
#include "program/simd.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Everything else stays hidden, since the server loads libraries into one name space. */
#pragma GCC visibility push(default)
PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(plmodel_call_handler);
PG_FUNCTION_INFO_V1(plmodel_validator);

extern void _PG_init(void);
#pragma GCC visibility pop

/* What a caller's FmgrInfo keeps between two rows. */
typedef struct CallState
{
	Model	   *model;
	uint64		generation;
	MemoryContextCallback release;
} CallState;

static const struct config_enum_entry kernel_options[] = {
	{"auto", KERNEL_AUTO, false},
	{"scalar", ISA_SCALAR, false},
	{"avx2", ISA_AVX2, false},
	{"avx512", ISA_AVX512, false},
	{NULL, 0, false}
};

static void
assign_cache_size(int value, void *extra)
{
	(void) value, (void) extra;
	plm_check_cache_size();
}

void
_PG_init(void)
{
	/*
	 * Where another file of this library was loaded before, the settings exist
	 * and this raises: before anything is registered that would stay.
	 */
	DefineCustomEnumVariable("plmodel.kernel",
							 "Instruction set that plmodel functions are computed with.",
							 "All give the same predictions. Where the machine lacks the one that is set, its best one is used.",
							 &plm_kernel_setting, KERNEL_AUTO, kernel_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("plmodel.cache_size",
							"Memory for models that a session keeps from one statement to the next.",
							"Beyond it those that were not used for the longest time are read again when they are called.",
							&plm_cache_size, 256 * 1024, 0, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB,
							NULL, assign_cache_size, NULL);
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("plmodel");
#else
	EmitWarningsOnPlaceholders("plmodel");
#endif
	plm_init_cache();
}

static void
release_state(void *argument)
{
	CallState  *state = argument;

	if (state->model != NULL)
		plm_release_model(state->model);
	state->model = NULL;
}

/* Get the model, for the first row of a query and the first after some function changed. */
static CallState *
attach(FmgrInfo *flinfo)
{
	CallState  *state = flinfo->fn_extra;
	uint64		generation = plm_generation;
	Model	   *model;

	if (state == NULL)
	{
		state = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(CallState));
		state->release.func = release_state;
		state->release.arg = state;
		MemoryContextRegisterResetCallback(flinfo->fn_mcxt, &state->release);
		flinfo->fn_extra = state;
	}
	model = plm_acquire_model(flinfo->fn_oid);
	release_state(state);
	state->model = model;
	state->generation = generation;
	return state;
}

Datum
plmodel_call_handler(PG_FUNCTION_ARGS)
{
	CallState  *state = fcinfo->flinfo->fn_extra;

	CHECK_FOR_INTERRUPTS();
	if (state == NULL || state->generation != plm_generation || state->model->kernel != plm_kernel_setting)
		state = attach(fcinfo->flinfo);
	plm_read_row(state->model, fcinfo);
	return plm_prediction(state->model, &fcinfo->isnull);
}

Datum
plmodel_validator(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	HeapTuple	tuple;
	MemoryContext caller;
	MemoryContext context;

	if (!CheckFunctionValidatorAccess(fcinfo->flinfo->fn_oid, function) || !check_function_bodies)
		PG_RETURN_VOID();
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	context = AllocSetContextCreate(CurrentMemoryContext, "plmodel validator", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	plm_load_model(tuple);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	ReleaseSysCache(tuple);
	PG_RETURN_VOID();
}
