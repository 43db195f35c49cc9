/*
 * libFuzzer target: any bytes as the content of a body are refused, or are a
 * program that runs on any row, with every kernel giving the same result.
 *
 * The header (magic, length, checksum) is put in front here, so that the fuzzer
 * does not have to guess it. PLMODEL_NO_CHECKSUM leaves the checksum unread.
 */
#include "standalone.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "program/run.h"
#include "program/simd.h"

#define HEADER 16
#define N_ROWS 6

/* docs/plmodel-format.md: memory is at most 16 bytes for each of the body, and a little */
#define MAX_GROWTH 16
#define FIXED (16 * 1024)

static const double numbers[] = {0.0, -0.0, 1.0, 2.0, -1.5, NAN, INFINITY, -INFINITY, 1e300, 5e-324, 3.0, 64.0};
static const int64 times[] = {0, -1, INT64_MIN, INT64_MIN + 1, INT64_MAX, 951782400, 86399999999, -1000000};
static const char *const texts[] = {NULL, "", "a", "WA", "a longer text than sixteen bytes"};

static uint8 *
with_header(const uint8 *content, size_t size, size_t *length)
{
	uint8	   *body;
	uint32		total;

	*length = HEADER + size - 1;
	total = (uint32) *length;
	body = malloc(*length);
	memcpy(body, "PLMB\1\0", 6);
	body[6] = content[0] % 3;	/* role */
	body[7] = 0;
	for (int i = 0; i < 4; i++)
	{
		body[8 + i] = (uint8) (total >> (8 * i));
		body[12 + i] = 0;
	}
	memcpy(body + HEADER, content + 1, size - 1);
	return body;
}

/* A copy without a final zero byte, so that AddressSanitizer sees any read behind it. */
static Text
make_text(const char *source)
{
	Text		text = {NULL, 0};
	char	   *copy;

	if (source == NULL)
		return text;
	text.length = (uint32) strlen(source);
	copy = plm_alloc(text.length);
	memcpy(copy, source, text.length);
	text.bytes = copy;
	return text;
}

static void
fill_row(const Program *program, uint32 row)
{
	for (uint32 i = 0; i < program->n_inputs; i++)
	{
		const Input *input = &program->inputs[i];
		uint32		pick = row * 7 + i * 3;

		if (input->number_cell != NO_CELL)
			program->cells[input->number_cell] = numbers[pick % lengthof(numbers)];
		if (input->time_cell != NO_CELL)
		{
			int64		time = times[pick % lengthof(times)];

			/* the server counts days in 32 bits */
			if (input->kind == INPUT_DATE && time != INT64_MIN)
				time = (int32) time;
			memcpy(&program->cells[input->time_cell], &time, sizeof(time));
		}
		if (input->kind == INPUT_TEXT)
			program->texts[input->text] = make_text(texts[pick % lengthof(texts)]);
	}
}

/* Everything a row comes to, NaNs made equal. */
static uint64
digest_row(const Program *program, uint64 digest)
{
	bool		accepted = plm_run(program);

	digest = digest * 31 + accepted;
	if (!accepted)
		return digest;
	for (uint32 i = 0; i < program->n_slots; i++)
	{
		double		value = program->cells[i];
		uint64		bits = 0;

		if (!isnan(value))
			memcpy(&bits, &value, sizeof(bits));
		digest = (digest ^ bits) * UINT64_C(0x100000001B3);
	}
	return digest * 31 + (program->output.n_scores > 0 ? plm_best_label(&program->output, program->cells) : 0);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	uint64		digests[3] = {0};
	uint8	   *body;
	size_t		length;

	if (size == 0)
		return 0;
	standalone_decode((const char *) data, size);
	body = with_header(data, size, &length);
	for (int isa = ISA_SCALAR; isa <= ISA_AVX512; isa++)
	{
		Program    *program;

		plm_kernel_setting = isa;
		program = standalone_parse(body, length);
		if (standalone_most_in_use() > MAX_GROWTH * length + FIXED)
		{
			fprintf(stderr, "%zu bytes of memory for a body of %zu\n", standalone_most_in_use(), length);
			abort();
		}
		if (program != NULL)
			for (uint32 row = 0; row < N_ROWS; row++)
			{
				fill_row(program, row);
				digests[isa] = digest_row(program, digests[isa]);
			}
		standalone_free();
	}
	free(body);
	if (digests[0] != digests[1] || digests[0] != digests[2])
	{
		fprintf(stderr, "kernels differ\n");
		abort();
	}
	return 0;
}
