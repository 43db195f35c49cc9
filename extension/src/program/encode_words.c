/*
 * How often words and pairs of words are in a text.
 *
 * The tokenizer is the one of program/words.py, on UTF-8: a word is a longest
 * run of characters that separate nothing, in lower case.
 */
#include <math.h>

#include "encode.h"
#include "lookup.h"
#include "utf8.h"

#define MAX_UTF8 4

typedef struct WordsStep
{
	Step		step;
	uint32		source;			/* index of a text */
	bool		normalize;
	bool		has_pairs;
	uint32		longest;		/* bytes of the longest term */
	Lookup	   *lookup;
	double	   *weights;
	char	   *scratch;		/* the word before, a blank, and the word; each of at most `longest` bytes */
} WordsStep;

/* The word that is being read, behind the one before it. */
typedef struct Scanner
{
	const WordsStep *self;
	double	   *counts;
	char	   *word;			/* where it begins in the scratch */
	uint32		length;			/* of the word, longest + 1 where it is too long for any term */
	uint32		before;			/* of the one before it; 0 where there is none that a pair could begin with */
} Scanner;

static uint32
encode(uint32 code, char *out)
{
	uint32		size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (uint32 i = size - 1; i > 0; i--, code >>= 6)
		out[i] = (char) (0x80 | (code & 0x3F));
	out[0] = (char) ((0xF00 >> size & 0xFF) | code);
	return size;
}

PLM_INLINE void
count(const Scanner *scanner, const char *bytes, uint32 length)
{
	uint32		position = plm_find_text(scanner->self->lookup, (Text) {bytes, length});

	if (position != NOT_FOUND)
		scanner->counts[position] += 1.0;
}

static void
end_word(Scanner *scanner)
{
	const WordsStep *self = scanner->self;
	uint32		length = scanner->length;

	if (length == 0)
		return;
	scanner->length = 0;
	if (length > self->longest)
	{
		scanner->before = 0;
		return;
	}
	count(scanner, scanner->word, length);
	if (!self->has_pairs)
		return;
	if (scanner->before > 0)
	{
		uint32		both = scanner->before + 1 + length;

		scanner->word[-1] = ' ';
		if (both <= self->longest)
			count(scanner, scanner->word - 1 - scanner->before, both);
	}
	/* it is the word before the next one: it ends where the blank will be */
	memmove(scanner->word - 1 - length, scanner->word, length);
	scanner->before = length;
}

PLM_INLINE void
add_bytes(Scanner *scanner, const char *bytes, uint32 length)
{
	if (scanner->length + length > scanner->self->longest)
		scanner->length = scanner->self->longest + 1;
	else
	{
		memcpy(scanner->word + scanner->length, bytes, length);
		scanner->length += length;
	}
}

static void
scan(Scanner *scanner, const uint8 *bytes, uint32 length)
{
	for (uint32 i = 0, n = 0; i < length; n++)
	{
		uint8		byte = bytes[i];
		uint32		n_bytes = 1;

		PLM_CHECK_INTERRUPTS(n);
		if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9'))
			add_bytes(scanner, (const char *) &bytes[i], 1);
		else if (byte >= 'A' && byte <= 'Z')
		{
			char		lower = (char) (byte + ('a' - 'A'));

			add_bytes(scanner, &lower, 1);
		}
		else if (byte < 0x80)
			end_word(scanner);
		else
		{
			char		lower[MAX_UTF8];
			uint32		code = plm_decode(&bytes[i], length - i, &n_bytes);

			if (code < 0x80 || plm_is_separator(code))
				end_word(scanner);
			else
			{
				code = plm_lower_case(code);
				if (code < 0x80)
					lower[0] = (char) code;
				add_bytes(scanner, lower, code < 0x80 ? 1 : encode(code, lower));
			}
		}
		i += n_bytes;
	}
	end_word(scanner);
}

/* Counts times weights, divided by their norm; a count of zero adds nothing to it. */
static void
weigh(const WordsStep *self, double *values)
{
	double		squares = 0;
	double		norm;

	for (uint32 i = 0; i < self->step.width; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (values[i] != 0)
		{
			values[i] *= self->weights[i];
			squares += values[i] * values[i];
		}
	}
	norm = sqrt(squares);
	for (uint32 i = 0; self->normalize && norm != 0 && i < self->step.width; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		if (values[i] != 0)
			values[i] /= norm;
	}
}

static bool
run_words(const Step *step, double *cells, const Text *texts)
{
	const WordsStep *self = (const WordsStep *) step;
	Text		text = texts[self->source];
	Scanner		scanner = {self, &cells[step->out], self->scratch + self->longest + 1, 0, 0};

	memset(scanner.counts, 0, sizeof(double) * step->width);
	if (text.bytes == NULL)
		return true;
	text = plm_utf8_text(text);
	scan(&scanner, (const uint8 *) text.bytes, text.length);
	weigh(self, scanner.counts);
	return true;
}

static void
parse_terms(StepParser *parser, WordsStep *self, uint32 n_terms)
{
	Text	   *terms = plm_alloc(sizeof(Text) * (size_t) n_terms);

	for (uint32 i = 0; i < n_terms; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		terms[i].length = read_count(&parser->reader, 1);
		terms[i].bytes = (const char *) read_bytes(&parser->reader, terms[i].length);
		/* UTF-8 as it stands in the body: so is what is compared with it */
		terms[i].bytes = memcpy(plm_alloc(terms[i].length), terms[i].bytes, terms[i].length);
		if (memchr(terms[i].bytes, ' ', terms[i].length) != NULL)
			self->has_pairs = true;
		self->longest = Max(self->longest, terms[i].length);
	}
	self->lookup = plm_text_lookup(terms, n_terms);
}

Step *
plm_parse_words(StepParser *parser)
{
	Reader	   *reader = &parser->reader;
	uint32		index = read_below(reader, parser->program->n_inputs, "an input");
	Input	   *input = &parser->program->inputs[index];
	uint8		norm = read_u8(reader);
	uint32		n_terms = read_count(reader, 12);
	WordsStep  *self = plm_new_step(parser, sizeof(WordsStep), run_words, n_terms);

	if (input->kind != INPUT_TEXT)
		plm_reject("it asks for the words of an input that is no text");
	if (norm > 1)
		plm_reject("a norm is unknown");
	if (n_terms == 0)
		plm_reject("a list is empty");
	self->source = input->text;
	input->text_read = true;
	self->normalize = norm == 1;
	parse_terms(parser, self, n_terms);
	self->weights = read_doubles(reader, n_terms);
	self->scratch = plm_alloc(2 * (size_t) self->longest + 1);
	return &self->step;
}
