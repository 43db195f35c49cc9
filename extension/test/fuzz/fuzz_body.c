/*
 * libFuzzer target: any bytes as the content of a body are refused, or are a
 * program that runs on any row, with every kernel giving the same result.
 *
 * The header (magic, length, checksum) is put in front here, so that the fuzzer
 * does not have to guess it. PLMODEL_NO_CHECKSUM leaves the checksum unread.
 */
#include "hostile_rows.h"
#include "standalone.h"

#include <stdio.h>
#include <stdlib.h>

#include "program/simd.h"

#define HEADER 16

/* docs/plmodel-format.md: memory is at most 16 bytes for each of the body, and a little */
#define MAX_GROWTH 16
#define FIXED (16 * 1024)

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
			for (uint32 row = 0; row < N_HOSTILE_ROWS; row++)
				digests[isa] = digest_hostile_row(program, row, digests[isa]);
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
