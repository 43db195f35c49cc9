/*
 * Scores rows outside of Postgres, for machines that no server is at hand for.
 *
 * score KERNEL ROWS BODY...
 *
 * KERNEL is what plmodel.kernel takes. ROWS is a file of doubles, one row's
 * inputs after the other, all of them numbers: each body's first score of each
 * row is written to standard output, as doubles. Where ROWS is "-", the digest
 * of the body's results on hostile rows is, as 64 bits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/hostile_rows.h"
#include "fuzz/standalone.h"
#include "program/run.h"
#include "program/simd.h"

static const char *const kernels[] = {"scalar", "avx2", "avx512"};

static void
fail(const char *what, const char *about)
{
	fprintf(stderr, "%s: %s\n", about, what);
	exit(1);
}

static uint8 *
read_file(const char *path, size_t *length)
{
	FILE	   *file = fopen(path, "rb");
	uint8	   *bytes;
	long		size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
		fail("can't be read", path);
	*length = (size_t) size;
	bytes = malloc(*length + (*length == 0));
	if (bytes == NULL || fread(bytes, 1, *length, file) != *length)
		fail("can't be read", path);
	fclose(file);
	return bytes;
}

static double
score(const Program *program, const double *row)
{
	for (uint32 i = 0; i < program->n_inputs; i++)
		if (program->inputs[i].number_cell != NO_CELL)
			program->cells[program->inputs[i].number_cell] = row[i];
	return plm_run(program) ? program->cells[program->output.scores[0]] : NAN;
}

static void
score_rows(const Program *program, const double *rows, size_t n_numbers)
{
	for (size_t i = 0; i + program->n_inputs <= n_numbers; i += program->n_inputs)
	{
		double		result = score(program, rows + i);

		fwrite(&result, sizeof(result), 1, stdout);
	}
}

static void
digest_rows(const Program *program)
{
	uint64		digest = 0;

	for (uint32 row = 0; row < N_HOSTILE_ROWS; row++)
		digest = digest_hostile_row(program, row, digest);
	fwrite(&digest, sizeof(digest), 1, stdout);
}

int
main(int n_arguments, char **arguments)
{
	uint8	   *rows = NULL;
	size_t		length = 0;

	if (n_arguments < 4)
		fail("KERNEL ROWS BODY...", arguments[0]);
	for (int i = 0; i < (int) lengthof(kernels); i++)
		if (strcmp(arguments[1], kernels[i]) == 0)
			plm_kernel_setting = i;
	if (strcmp(arguments[2], "-") != 0)
		rows = read_file(arguments[2], &length);
	for (int i = 3; i < n_arguments; i++)
	{
		size_t		body_length;
		uint8	   *body = read_file(arguments[i], &body_length);
		Program    *program = standalone_parse(body, body_length);

		if (program == NULL)
			fail(standalone_reason(), arguments[i]);
		if (program->kernel != NULL)
			fprintf(stderr, "%s\n", program->kernel);
		if (rows != NULL)
			score_rows(program, (const double *) rows, length / sizeof(double));
		else
			digest_rows(program);
		standalone_free();
		free(body);
	}
	free(rows);
	return 0;
}
