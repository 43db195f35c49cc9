/* Missing values, infinities, the least and the greatest numbers and times, texts that are absent, empty and long. */
#include "hostile_rows.h"

#include <math.h>

#include "program/run.h"

static const double numbers[] = {0.0, -0.0, 1.0, 2.0, -1.5, NAN, INFINITY, -INFINITY, 1e300, 5e-324, 3.0, 64.0};
static const int64 times[] = {0, -1, INT64_MIN, INT64_MIN + 1, INT64_MAX, 951782400, 86399999999, -1000000};
static const char *const texts[] = {NULL, "", "a", "WA", "a longer text than sixteen bytes"};

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

uint64
digest_hostile_row(const Program *program, uint32 row, uint64 digest)
{
	bool		accepted;

	fill_row(program, row);
	accepted = plm_run(program);
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
