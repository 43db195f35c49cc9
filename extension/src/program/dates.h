/* Calendar parts of a point in time. */
#ifndef PLMODEL_DATES_H
#define PLMODEL_DATES_H

#include "platform.h"

typedef enum DatePart
{
	PART_YEAR, PART_QUARTER, PART_MONTH, PART_DAY, PART_WEEKDAY, PART_DAY_OF_YEAR, PART_HOUR, PART_MINUTE,
	PART_SECOND, PART_EPOCH, N_DATE_PARTS
} DatePart;

/* Missing, infinite */
#define NO_TIME INT64_MIN

extern double plm_day_part(int64 days, DatePart part);
extern double plm_instant_part(int64 micros, DatePart part);
extern double plm_time_part(int64 micros, DatePart part);
extern double plm_seconds_since_1970(int64 micros);

#endif
