/* Parsers of the steps that encode: any of them, then those of inputs, single slots and lists. */
#ifndef PLMODEL_ENCODE_H
#define PLMODEL_ENCODE_H

#include "step.h"

/* One input or slot, and a constant. */
typedef struct SlotStep
{
	Step		step;
	uint32		slot;
	double		a;
} SlotStep;

extern Step *plm_parse_encoder(StepParser *parser, uint8 opcode);

extern Step *plm_parse_number(StepParser *parser);
extern Step *plm_parse_category(StepParser *parser);
extern Step *plm_parse_date_part(StepParser *parser);
extern Step *plm_parse_words(StepParser *parser);
extern Step *plm_parse_characters(StepParser *parser);

extern Step *plm_parse_impute(StepParser *parser);
extern Step *plm_parse_null_if(StepParser *parser);
extern Step *plm_parse_is_missing(StepParser *parser);
extern Step *plm_parse_arithmetic(StepParser *parser);
extern Step *plm_parse_unary(StepParser *parser);
extern Step *plm_parse_clip(StepParser *parser);

extern Step *plm_parse_one_hot(StepParser *parser);
extern Step *plm_parse_piecewise_linear(StepParser *parser);
extern Step *plm_parse_bucket(StepParser *parser);
extern Step *plm_parse_product(StepParser *parser);
extern Step *plm_parse_normalize(StepParser *parser);

#endif
