#include "standalone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "program/parse.h"
#include "program/reader.h"

/* One block each, so that AddressSanitizer sees every overrun. */
typedef struct Block
{
	struct Block *next;
	struct Block *previous;
	size_t		taken;
	max_align_t memory[];
} Block;

static Block blocks = {&blocks, &blocks, 0};
static size_t in_use = 0;
static size_t most_in_use = 0;
static jmp_buf rejected;
static char reason[256];

/* What the server takes for a block: it rounds up to a power of two, and puts up to 64 bytes in front. */
static size_t
taken_by(size_t size)
{
	size_t		rounded = 8;

	if (size > 8192)
		return size + 64;
	while (rounded < size)
		rounded *= 2;
	return rounded + 16;
}

void *
plm_alloc(size_t size)
{
	Block	   *block = calloc(1, sizeof(Block) + size);

	if (block == NULL)
		plm_reject("out of memory");
	block->taken = taken_by(size);
	in_use += block->taken;
	most_in_use = Max(in_use, most_in_use);
	block->next = blocks.next;
	block->previous = &blocks;
	blocks.next->previous = block;
	blocks.next = block;
	return block->memory;
}

void
plm_free(void *memory)
{
	Block	   *block = (Block *) ((char *) memory - offsetof(Block, memory));

	in_use -= block->taken;
	block->previous->next = block->next;
	block->next->previous = block->previous;
	free(block);
}

/* The same in each run, so that what was found is found again. */
const HashKey *
plm_hash_key(bool draw)
{
	static HashKey key = {{1, 2}};

	key.words[0] += draw;
	return &key;
}

void
standalone_free(void)
{
	while (blocks.next != &blocks)
		plm_free(blocks.next->memory);
}

void
plm_reject(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	longjmp(rejected, 1);
}

void
plm_reject_unsupported(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	longjmp(rejected, 1);
}

Text
plm_server_text(Text utf8)
{
	char	   *copy = plm_alloc((size_t) utf8.length + 1);
	Text		result = {copy, utf8.length};

	memcpy(copy, utf8.bytes, utf8.length);
	return result;
}

Text
plm_utf8_text(Text server)
{
	return server;
}

size_t
standalone_most_in_use(void)
{
	return most_in_use;
}

const char *
standalone_reason(void)
{
	return reason;
}

Program *
standalone_parse(const uint8 *bytes, size_t length)
{
	most_in_use = in_use;
	if (setjmp(rejected) != 0)
		return NULL;
	return plm_parse(bytes, length);
}

bool
standalone_decode(const char *text, size_t length)
{
	uint8	   *volatile bytes = malloc(length / 4 * 3 + 3);
	volatile bool decoded = false;

	if (setjmp(rejected) == 0)
	{
		plm_crc32(bytes, plm_base64_decode(text, length, bytes));
		decoded = true;
	}
	free(bytes);
	return decoded;
}
