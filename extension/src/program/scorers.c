/* Steps that score, but for tree ensembles. */
#include "score.h"

enum
{
	OP_LINEAR = 33, OP_ACTIVATION, OP_DISTANCES, OP_LINK, OP_WEIGHTED_SUM, OP_TABLE_SUM
};

Step *
plm_parse_scorer(StepParser *parser, uint8 opcode)
{
	switch (opcode)
	{
		case OP_LINEAR:
			return plm_parse_linear(parser);
		case OP_ACTIVATION:
			return plm_parse_activation(parser);
		case OP_DISTANCES:
			return plm_parse_distances(parser);
		case OP_LINK:
			return plm_parse_link(parser);
		case OP_WEIGHTED_SUM:
			return plm_parse_weighted_sum(parser);
		case OP_TABLE_SUM:
			return plm_parse_table_sum(parser);
		default:
			plm_reject_unsupported("a step's code is %u, which this library does not know", opcode);
	}
}
