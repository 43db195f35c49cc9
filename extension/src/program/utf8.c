/* Characters of UTF-8, and the tables of program/letters.py. */
#include "utf8.h"

typedef struct CodeRange
{
	uint32		first;
	uint32		last;
} CodeRange;

/* Every step-th code point from first to last has its lower case delta further on. */
typedef struct CaseRun
{
	uint32		first;
	uint32		last;
	uint32		step;
	int32		delta;
} CaseRun;

#include "letters.h"

bool
plm_is_separator(uint32 code)
{
	uint32		low = 0;
	uint32		high = lengthof(separators);

	while (low < high)
	{
		uint32		middle = (low + high) / 2;

		if (code > separators[middle].last)
			low = middle + 1;
		else if (code < separators[middle].first)
			high = middle;
		else
			return true;
	}
	return false;
}

uint32
plm_lower_case(uint32 code)
{
	uint32		low = 0;
	uint32		high = lengthof(case_runs);

	while (low < high)
	{
		uint32		middle = (low + high) / 2;
		const CaseRun *run = &case_runs[middle];

		if (code > run->last)
			low = middle + 1;
		else if (code < run->first)
			high = middle;
		else
			return (code - run->first) % run->step == 0 ? code + (uint32) run->delta : code;
	}
	return code;
}

uint32
plm_decode(const uint8 *bytes, uint32 length, uint32 *n_bytes)
{
	uint32		size = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : 2;
	uint32		code = bytes[0] & (0xFF >> (size + 1));

	*n_bytes = 1;
	if (bytes[0] < 0xC2 || bytes[0] > 0xF4 || size > length)
		return ' ';
	for (uint32 i = 1; i < size; i++)
	{
		if ((bytes[i] & 0xC0) != 0x80)
			return ' ';
		code = code << 6 | (bytes[i] & 0x3F);
	}
	*n_bytes = size;
	return code;
}
