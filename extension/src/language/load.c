/* From a pg_proc row to a model. */
#include "model.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "program/simd.h"
#include "program/parse.h"
#include "program/reader.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/*
 * Say of any error, ours or the server's, which function is being read. The
 * statement and its context stay out of the log: they hold the body, which may
 * be megabytes.
 */
static void
add_context(void *name)
{
	errcontext("reading the body of plmodel function \"%s\"", (const char *) name);
	errhidestmt(true);
	errhidecontext(true);
}

/* Refuse the kinds of functions that can't have a scoring program, whatever it is. */
static void
check_procedure(Form_pg_proc procedure, HeapTuple tuple)
{
	if (procedure->prokind != PROKIND_FUNCTION)
		plm_reject_unsupported("only a plain function can have one");
	if (procedure->proretset)
		plm_reject_unsupported("it returns one value, not a set");
	if (!heap_attisnull(tuple, Anum_pg_proc_proallargtypes, NULL) || OidIsValid(procedure->provariadic))
		plm_reject_unsupported("its arguments can't be OUT, INOUT or VARIADIC");
	if (procedure->proisstrict)
		plm_reject_unsupported("a STRICT function would return NULL where a value is missing");
}

static void
parse_source(Model *model, HeapTuple tuple)
{
	bool		is_null;
	Datum		source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);
	MemoryContext model_context = CurrentMemoryContext;
	MemoryContext body_context;
	text	   *base64;
	uint8	   *body;
	size_t		length;

	if (is_null)
		plm_reject("it is missing");

	/* the decoded body is needed only while it is parsed */
	body_context = AllocSetContextCreate(model_context, "plmodel body", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(body_context);
	base64 = DatumGetTextPP(source);
	length = VARSIZE_ANY_EXHDR(base64);
	body = plm_alloc(length / 4 * 3 + 3);
	length = plm_base64_decode(VARDATA_ANY(base64), length, body);
	MemoryContextSwitchTo(model_context);
	model->program = plm_parse(body, length);
	MemoryContextDelete(body_context);
}

/*
 * Make a model in the current memory context. Both the validator and the first
 * call come through here, so a body that was created is a body that runs.
 */
Model *
plm_load_model(HeapTuple tuple)
{
	Form_pg_proc procedure = (Form_pg_proc) GETSTRUCT(tuple);
	Model	   *model = palloc0(sizeof(Model));
	ErrorContextCallback context = {.previous = error_context_stack,.callback = add_context};

	model->name = plm_function_name = pstrdup(NameStr(procedure->proname));
	context.arg = (void *) model->name;
	error_context_stack = &context;
	check_procedure(procedure, tuple);
	parse_source(model, tuple);
	plm_bind_inputs(model, tuple);
	plm_bind_output(model, tuple);
	error_context_stack = context.previous;
	model->context = CurrentMemoryContext;
	model->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	model->tid = tuple->t_self;
	model->kernel = plm_kernel_setting;
	ereport(DEBUG1,
			(errmsg_internal("plmodel: function \"%s\" has %zu tree nodes, kernel %s",
							 NameStr(procedure->proname), model->program->n_nodes,
							 model->program->kernel ? model->program->kernel : "none")));
	return model;
}
