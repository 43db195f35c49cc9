/* Steps that turn a row's inputs into numbers. */
#include "encode.h"

typedef Step *(*EncoderParser) (StepParser *parser);

/* By code; 0 is no step. */
static const EncoderParser parsers[] = {
	NULL,
	plm_parse_number,
	plm_parse_category,
	plm_parse_date_part,
	plm_parse_one_hot,
	plm_parse_impute,
	plm_parse_null_if,
	plm_parse_is_missing,
	plm_parse_arithmetic,
	plm_parse_unary,
	plm_parse_clip,
	plm_parse_piecewise_linear,
	plm_parse_bucket,
	plm_parse_product,
	plm_parse_normalize,
	plm_parse_words,
	plm_parse_characters
};

Step *
plm_parse_encoder(StepParser *parser, uint8 opcode)
{
	if (opcode >= lengthof(parsers) || parsers[opcode] == NULL)
		plm_reject_unsupported("a step's code is %u, which this library does not know", opcode);
	return parsers[opcode] (parser);
}
