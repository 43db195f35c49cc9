/*
 * A function's program bound to the function's types: what the call handler
 * runs. Shared by all calls of a function in this backend.
 */
#ifndef PLMODEL_MODEL_H
#define PLMODEL_MODEL_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "storage/itemptr.h"

#include "program/program.h"

typedef enum Decoder
{
	DECODE_NOTHING, DECODE_INT2, DECODE_INT4, DECODE_INT8, DECODE_FLOAT4, DECODE_FLOAT8, DECODE_NUMERIC,
	DECODE_BOOL, DECODE_TEXT, DECODE_BPCHAR, DECODE_ENUM, DECODE_DATE, DECODE_TIME, DECODE_TIMETZ,
	DECODE_TIMESTAMP
} Decoder;

/* How one input comes from its argument to the row. */
typedef struct InputReader
{
	Decoder		decoder;
	double	   *number;			/* or NULL */
	double	   *time;			/* holds an int64; or NULL */
	Text	   *text;
} InputReader;

/* The inputs as attributes of one composite argument. */
typedef struct Composite
{
	Oid			type;			/* InvalidOid: the inputs are arguments */
	uint64		identifier;		/* of the tuple descriptor that the positions hold for */
	int			n_attributes;
	int		   *positions;		/* [input] */
	Datum	   *values;			/* [attribute] */
	bool	   *nulls;
} Composite;

typedef struct Model
{
	MemoryContext context;
	const char *name;			/* of the function */
	uint32		n_users;		/* callers that hold it; the cache is one of them */
	TransactionId xmin;			/* which version of the pg_proc row it was made of */
	ItemPointerData tid;
	int			kernel;			/* the setting plmodel.kernel that it was loaded under */
	Program    *program;
	InputReader *readers;
	Composite	composite;
	Oid			return_type;
	int16		label_length;	/* typlen */
	bool		label_by_value;
	Datum	   *labels;			/* predict: as the return type; probabilities: numbers as numeric */
} Model;

extern Model *plm_load_model(HeapTuple procedure);
extern Model *plm_acquire_model(Oid function);
extern void plm_release_model(Model *model);
extern void plm_init_cache(void);

/* The setting plmodel.cache_size, in kilobytes. */
extern int	plm_cache_size;
extern void plm_check_cache_size(void);

/* Changes whenever a cached model may be out of date. */
extern uint64 plm_generation;

extern void plm_bind_inputs(Model *model, HeapTuple procedure);
extern void plm_bind_composite(Model *model, TupleDesc descriptor);
extern void plm_read_row(Model *model, FunctionCallInfo fcinfo);
extern void plm_bind_output(Model *model, HeapTuple procedure);
extern Datum plm_prediction(const Model *model, bool *is_null);

#endif
