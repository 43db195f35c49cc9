/* Parsers of the steps that score, but for tree ensembles: any of them, then each. */
#ifndef PLMODEL_SCORE_H
#define PLMODEL_SCORE_H

#include "step.h"

extern Step *plm_parse_scorer(StepParser *parser, uint8 opcode);

extern Step *plm_parse_linear(StepParser *parser);
extern Step *plm_parse_distances(StepParser *parser);
extern Step *plm_parse_activation(StepParser *parser);
extern Step *plm_parse_link(StepParser *parser);
extern Step *plm_parse_weighted_sum(StepParser *parser);
extern Step *plm_parse_table_sum(StepParser *parser);

#endif
