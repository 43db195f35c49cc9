/* Models of this backend, by function. */
#include "model.h"

#include "access/htup_details.h"
#include "program/simd.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

typedef struct Cached
{
	Oid			function;		/* hash key */
	uint32		hash;			/* of the pg_proc cache entry, to know an invalidation by */
	bool		valid;
	uint64		last_use;		/* greater is later */
	Model	   *model;
} Cached;

uint64		plm_generation = 1;
int			plm_cache_size;

static HTAB *cache = NULL;
static MemoryContext cache_context = NULL;
static bool has_invalid = false;
static uint64 n_uses = 0;

/* A pg_proc row changed. Mark the models it may concern and free none: a call may be under way. */
static void
invalidate(Datum argument, int cache_id, uint32 hash)
{
	HASH_SEQ_STATUS scan;
	Cached	   *entry;

	(void) argument, (void) cache_id;
	if (cache == NULL)
		return;
	/* also for callers of a model that is not in the cache any more */
	plm_generation++;
	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (hash == 0 || entry->hash == hash)
		{
			entry->valid = false;
			has_invalid = true;
		}
}

/* Have the setting obeyed by the next call. */
void
plm_check_cache_size(void)
{
	has_invalid = true;
}

/* Let go of a model; the last one to do so frees it. */
void
plm_release_model(Model *model)
{
	if (--model->n_users == 0)
		MemoryContextDelete(model->context);
}

static bool
is_current(const Model *model, HeapTuple tuple)
{
	return model->xmin == HeapTupleHeaderGetRawXmin(tuple->t_data) &&
		ItemPointerEquals((ItemPointer) &model->tid, &tuple->t_self);
}

static void
remove_entry(Cached *entry)
{
	Model	   *model = entry->model;

	hash_search(cache, &entry->function, HASH_REMOVE, NULL);
	plm_release_model(model);
}

/* The least recently used model but the latest one, where all together take more than the setting allows; or NULL. */
static Cached *
find_surplus(void)
{
	HASH_SEQ_STATUS scan;
	Cached	   *entry;
	Cached	   *oldest = NULL;
	Size		size = 0;

	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		size += MemoryContextMemAllocated(entry->model->context, true);
		if (entry->last_use < n_uses && (oldest == NULL || entry->last_use < oldest->last_use))
			oldest = entry;
	}
	return size > (Size) plm_cache_size * 1024 ? oldest : NULL;
}

/* Let go of models beyond the setting; those that a query holds are freed at its end. */
static void
evict(void)
{
	Cached	   *entry;

	while ((entry = find_surplus()) != NULL)
		remove_entry(entry);
}

/*
 * Drop models that were invalidated and are not current, so that functions that
 * are dropped or replaced do not stay in memory for as long as the backend lives.
 */
static void
sweep(void)
{
	HASH_SEQ_STATUS scan;
	Cached	   *entry;

	has_invalid = false;
	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		HeapTuple	tuple;

		if (entry->valid)
			continue;
		tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(entry->function));
		entry->valid = HeapTupleIsValid(tuple) && is_current(entry->model, tuple);
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		if (!entry->valid)
			remove_entry(entry);
	}
	evict();
}

static Model *
load(HeapTuple tuple)
{
	MemoryContext caller = CurrentMemoryContext;
	/* small blocks: a model is never followed by much memory that is not used */
	MemoryContext context = AllocSetContextCreate(caller, "plmodel model", ALLOCSET_DEFAULT_MINSIZE,
												  ALLOCSET_DEFAULT_INITSIZE, 8 * ALLOCSET_DEFAULT_INITSIZE);
	Model	   *model;

	/* after an error the context is freed with its parent */
	MemoryContextSwitchTo(context);
	model = plm_load_model(tuple);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, cache_context);
	return model;
}

/* The function's model, loaded if need be. The caller holds it until plm_release_model. */
Model *
plm_acquire_model(Oid function)
{
	Cached	   *entry;
	HeapTuple	tuple;
	Model	   *model;

	if (has_invalid)
		sweep();
	entry = hash_search(cache, &function, HASH_FIND, NULL);
	if (entry != NULL && entry->valid && entry->model->kernel == plm_kernel_setting)
	{
		entry->model->n_users++;
		entry->last_use = ++n_uses;
		return entry->model;
	}

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	model = load(tuple);
	ReleaseSysCache(tuple);

	/* loading reads catalogs and may have run invalidate(): enter the model only now */
	model->n_users = 2;
	entry = hash_search(cache, &function, HASH_FIND, NULL);
	if (entry == NULL)
		entry = hash_search(cache, &function, HASH_ENTER, NULL);
	else
		plm_release_model(entry->model);
	entry->hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function));
	entry->model = model;
	entry->last_use = ++n_uses;
	/* the row may have changed meanwhile: have the next call look at it again */
	entry->valid = false;
	has_invalid = true;
	evict();
	return model;
}

void
plm_init_cache(void)
{
	HASHCTL		control = {0};

	cache_context = AllocSetContextCreate(TopMemoryContext, "plmodel cache", ALLOCSET_SMALL_SIZES);
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(Cached);
	control.hcxt = cache_context;
	cache = hash_create("plmodel models", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(PROCOID, invalidate, (Datum) 0);
}
