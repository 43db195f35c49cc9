/*
 * What rows in batches would gain: each block of trees on several rows before
 * the next block, against each row on all blocks. Processor time outside of
 * Postgres, fastest of some rounds in turns; results are compared by their bits.
 * docs/decisions/0051-no-batches-of-rows.md has the figures.
 *
 * batches BODY ROWS [ROUNDS]
 *
 * ROWS as score.c takes them, all inputs numbers. Of a body with one tree
 * ensemble, which adds to one output. Compiled once for each kernel, KERNEL_FILE
 * being its source and KERNEL its plm_kernel_setting; batches.py does it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fuzz/standalone.h"
#include "program/run.h"
#include "trees/ensemble_step.c"
#include KERNEL_FILE

#define MAX_ROWS 64

/* Rows, with the slots that are before the ensemble's. */
typedef struct Rows
{
	uint32		count;
	uint32		n_cells;
	double	   *cells;
	double	   *results;
} Rows;

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static double
sum_of(const Ensemble *ensemble)
{
	return ensemble->single_sums ? ensemble->single[0] : ensemble->sums[0];
}

static void
set_sum(Ensemble *ensemble, double sum)
{
	if (ensemble->single_sums)
		ensemble->single[0] = (float) sum;
	else
		ensemble->sums[0] = sum;
}

static void
run_row_by_row(Ensemble *ensemble, Rows *rows)
{
	for (uint32 r = 0; r < rows->count; r++)
	{
		set_sum(ensemble, ensemble->base_scores[0]);
		ensemble->kernel(ensemble, rows->cells + (size_t) r * rows->n_cells);
		rows->results[r] = sum_of(ensemble);
	}
}

#ifdef LANES
static uint8 codes_of[MAX_ROWS][MAX_CODES] __attribute__((aligned(64)));

TARGET static void
prepare_row(Ensemble *ensemble, const double *cells, uint32 place)
{
	rank_row(ensemble, cells);
	memcpy(codes_of[place], ((Ranked *) ensemble->layout)->codes, MAX_CODES);
}

TARGET static void
walk_part(Ensemble *ensemble, uint32 place, uint32 first, uint32 last)
{
	Ranked	   *ranked = ensemble->layout;
	Codes		codes = load_codes(codes_of[place]);

	/* trees below chunks read them there */
	memcpy(ranked->codes, codes_of[place], MAX_CODES);
	for (uint32 i = first; i < last; i++)
		if (ranked->blocks[i].n_levels == 6)
			walk_block(ensemble, &codes, i, 6);
		else if (ranked->blocks[i].n_levels == 5)
			walk_block(ensemble, &codes, i, 5);
		else
			exit(3);
}

static uint32
n_parts(const Ensemble *ensemble)
{
	return ((const Ranked *) ensemble->layout)->n_blocks;
}
#else
#define PART 64

static const double *row_of[MAX_ROWS];

static void
prepare_row(Ensemble *ensemble, const double *cells, uint32 place)
{
	(void) ensemble;
	row_of[place] = cells;
}

/* The kernel on some of the trees: it reads the row's keys again for each part. */
static void
walk_part(Ensemble *ensemble, uint32 place, uint32 first, uint32 last)
{
	Ensemble	part = *ensemble;

	part.roots += first * PART;
	part.depths += first * PART;
	part.outputs += first * PART;
	part.n_trees = Min(last * PART, ensemble->n_trees) - first * PART;
	part.kernel(&part, row_of[place]);
}

static uint32
n_parts(const Ensemble *ensemble)
{
	return (ensemble->n_trees + PART - 1) / PART;
}
#endif

static void
walk_batch(Ensemble *ensemble, Rows *rows, uint32 first, uint32 count, uint32 block, uint32 n_blocks)
{
	for (uint32 r = 0; r < count; r++)
	{
		set_sum(ensemble, rows->results[first + r]);
		walk_part(ensemble, r, block, Min(block + n_blocks, n_parts(ensemble)));
		rows->results[first + r] = sum_of(ensemble);
	}
}

static void
run_in_batches(Ensemble *ensemble, Rows *rows, uint32 n_rows, uint32 n_blocks)
{

	for (uint32 first = 0; first < rows->count; first += n_rows)
	{
		uint32		count = Min(n_rows, rows->count - first);

		for (uint32 r = 0; r < count; r++)
		{
			prepare_row(ensemble, rows->cells + (size_t) (first + r) * rows->n_cells, r);
			rows->results[first + r] = ensemble->base_scores[0];
		}
		for (uint32 block = 0; block < n_parts(ensemble); block += n_blocks)
			walk_batch(ensemble, rows, first, count, block, n_blocks);
	}
}

/* Nanoseconds a row: all rows one by one, and in batches. */
static void
compare_ways(Ensemble *ensemble, Rows *rows, uint32 n_rows, uint32 n_blocks, int rounds)
{
	double		fastest[2] = {1e9, 1e9};
	double	   *expected = malloc(sizeof(double) * rows->count);

	for (int i = 0; i < rounds; i++)
	{
		double		start = seconds();
		double		middle;

		run_row_by_row(ensemble, rows);
		middle = seconds();
		memcpy(expected, rows->results, sizeof(double) * rows->count);
		fastest[0] = Min(fastest[0], middle - start);
		middle = seconds();
		run_in_batches(ensemble, rows, n_rows, n_blocks);
		fastest[1] = Min(fastest[1], seconds() - middle);
		if (memcmp(expected, rows->results, sizeof(double) * rows->count) != 0)
			exit(2);
	}
	printf("%u rows, %u blocks: %.0f ns one by one, %.0f ns in batches, gain %.2f\n", n_rows, n_blocks,
		   fastest[0] / rows->count * 1e9, fastest[1] / rows->count * 1e9, fastest[0] / fastest[1]);
	free(expected);
}

static Program *
read_program(const char *path, Ensemble **ensemble)
{
	static uint8 body[1 << 24];
	FILE	   *file = fopen(path, "rb");
	Program    *program;

	plm_kernel_setting = KERNEL;
	program = standalone_parse(body, file == NULL ? 0 : fread(body, 1, sizeof(body), file));
	for (uint32 i = 0; program != NULL && i < program->n_steps; i++)
		if (program->steps[i]->run == run_single_sums || program->steps[i]->run == run_double_sums)
			*ensemble = (Ensemble *) program->steps[i];
	if (program == NULL || *ensemble == NULL || (*ensemble)->step.width != 1)
		exit(1);
	return program;
}

static void
read_rows(const Program *program, const char *path, Rows *rows)
{
	FILE	   *file = fopen(path, "rb");
	double	   *row = malloc(sizeof(double) * program->n_inputs);

	rows->n_cells = program->n_cells;
	while (file != NULL && fread(row, sizeof(double), program->n_inputs, file) == program->n_inputs)
	{
		for (uint32 i = 0; i < program->n_inputs; i++)
			program->cells[program->inputs[i].number_cell] = row[i];
		plm_run(program);
		rows->cells = realloc(rows->cells, sizeof(double) * rows->n_cells * ++rows->count);
		memcpy(rows->cells + (size_t) rows->n_cells * (rows->count - 1), program->cells,
			   sizeof(double) * rows->n_cells);
	}
	rows->results = malloc(sizeof(double) * rows->count);
}

int
main(int n_arguments, char **arguments)
{
	static const uint32 sizes[] = {1, 8, 16, 32, 64};
	static const uint32 blocks[] = {1, 2, 4};
	Ensemble   *ensemble = NULL;
	Rows		rows = {0};

	if (n_arguments < 3)
		return 1;
	read_rows(read_program(arguments[1], &ensemble), arguments[2], &rows);
	printf("%s, %u trees, %u nodes\n", ensemble->kernel_name, ensemble->n_trees, ensemble->n_nodes);
	for (uint32 i = 0; i < lengthof(sizes); i++)
		for (uint32 k = 0; k < lengthof(blocks); k++)
			compare_ways(ensemble, &rows, sizes[i], blocks[k], n_arguments > 3 ? atoi(arguments[3]) : 5);
	return 0;
}
