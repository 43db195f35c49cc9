/*
 * How many characters of some classes are in a text.
 *
 * The classes are those of program/characters.py: single characters of ASCII
 * by their number, and named ones from there on.
 */
#include "encode.h"
#include "utf8.h"

enum
{
	ALL_CHARACTERS = 128,
	CAPITALS,
	DIGITS,
	BEYOND_ASCII,
	N_CLASSES
};

typedef struct CharactersStep
{
	Step		step;
	uint32		source;			/* index of a text */
	uint8	   *classes;
} CharactersStep;

/* Counts each character of ASCII, the capitals and all characters beyond. */
static void
count_each(uint32 *counts, const uint8 *bytes, uint32 length)
{
	for (uint32 i = 0, n = 0; i < length; n++)
	{
		PLM_CHECK_INTERRUPTS(n);
		if (bytes[i] < 0x80)
			counts[bytes[i++]]++;
		else
		{
			uint32		n_bytes;
			uint32		code = plm_decode(&bytes[i], length - i, &n_bytes);

			counts[BEYOND_ASCII]++;
			if (plm_lower_case(code) != code)
				counts[CAPITALS]++;
			i += n_bytes;
		}
	}
}

static void
add_up(uint32 *counts)
{
	for (uint32 c = 0; c < 128; c++)
	{
		counts[ALL_CHARACTERS] += counts[c];
		if (c >= 'A' && c <= 'Z')
			counts[CAPITALS] += counts[c];
		else if (c >= '0' && c <= '9')
			counts[DIGITS] += counts[c];
	}
	counts[ALL_CHARACTERS] += counts[BEYOND_ASCII];
}

static bool
run_characters(const Step *step, double *cells, const Text *texts)
{
	const CharactersStep *self = (const CharactersStep *) step;
	Text		text = texts[self->source];
	uint32		counts[N_CLASSES] = {0};

	if (text.bytes != NULL)
	{
		text = plm_utf8_text(text);
		count_each(counts, (const uint8 *) text.bytes, text.length);
		add_up(counts);
	}
	for (uint32 i = 0; i < step->width; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		cells[step->out + i] = counts[self->classes[i]];
	}
	return true;
}

Step *
plm_parse_characters(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	uint32		index = read_below(reader, parser->program->n_inputs, "an input");
	Input	   *input = &parser->program->inputs[index];
	uint32		n_classes = read_count(reader, 1);
	CharactersStep *self;

	if (input->kind != INPUT_TEXT)
		plm_reject("it asks for the characters of an input that is no text");
	if (n_classes == 0)
		plm_reject("a list is empty");
	if (n_classes >= N_CLASSES)
		plm_reject("there are fewer classes of characters than it counts");
	self = plm_new_step(parser, sizeof(CharactersStep), run_characters, n_classes);
	self->source = input->text;
	input->text_read = true;
	self->classes = memcpy(plm_alloc(n_classes), read_bytes(reader, n_classes), n_classes);
	for (uint32 i = 0; i < n_classes; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (self->classes[i] == 0 || self->classes[i] >= N_CLASSES)
			plm_reject("a class of characters is unknown");
	}
	return &self->step;
}
