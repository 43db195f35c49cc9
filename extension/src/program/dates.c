#include "dates.h"

#include <math.h>

#define MICROS_PER_SECOND INT64_C(1000000)
#define SECONDS_PER_DAY INT64_C(86400)

/* from 1970-01-01 */
#define SECONDS_TO_2000 INT64_C(946684800)

typedef struct Day
{
	int64		year;
	int			month;
	int			day;
} Day;

static int64
floor_divide(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

/*
 * Date of a day counted from 1970-01-01, in the proleptic Gregorian calendar
 * with a year 0 (Hinnant 2013, "chrono-Compatible Low-Level Date Algorithms",
 * civil_from_days): years begin in March, so that the leap day comes last.
 */
static Day
day_of(int64 days)
{
	int64		era = floor_divide(days + 719468, 146097);
	int			day_of_era = (int) (days + 719468 - era * 146097);
	int			year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int			march_month = (5 * day_of_year + 2) / 153;
	Day			result;

	result.day = day_of_year - (153 * march_month + 2) / 5 + 1;
	result.month = march_month < 10 ? march_month + 3 : march_month - 9;
	result.year = year_of_era + era * 400 + (result.month <= 2);
	return result;
}

/* 1 for 1 January. */
static int
day_of_year(Day day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	bool		leap = (day.year % 4 == 0 && day.year % 100 != 0) || day.year % 400 == 0;

	return before[day.month - 1] + day.day + (leap && day.month > 2);
}

/* One part of a day counted from 1970-01-01; its time is midnight. */
double
plm_day_part(int64 days, DatePart part)
{
	Day			day;

	if (days == NO_TIME)
		return NAN;
	switch (part)
	{
		case PART_HOUR:
		case PART_MINUTE:
		case PART_SECOND:
			return 0;
		case PART_EPOCH:
			return (double) (days * SECONDS_PER_DAY);
		case PART_WEEKDAY:
			/* 1970-01-01 was a Thursday */
			return (double) (days + 3 - floor_divide(days + 3, 7) * 7);
		default:
			break;
	}
	day = day_of(days);
	switch (part)
	{
		case PART_YEAR:
			return (double) day.year;
		case PART_QUARTER:
			return (day.month + 2) / 3;
		case PART_MONTH:
			return day.month;
		case PART_DAY:
			return day.day;
		default:
			return day_of_year(day);
	}
}

/* One part of a time in microseconds since 2000-01-01 00:00 UTC, which is how the server counts. */
double
plm_instant_part(int64 micros, DatePart part)
{
	int64		seconds = floor_divide(micros, MICROS_PER_SECOND) + SECONDS_TO_2000;
	int64		days = floor_divide(seconds, SECONDS_PER_DAY);

	if (micros == NO_TIME)
		return NAN;
	if (part == PART_EPOCH)
		return plm_seconds_since_1970(micros);
	if (part >= PART_HOUR)
		return plm_time_part((seconds - days * SECONDS_PER_DAY) * MICROS_PER_SECOND, part);
	return plm_day_part(days, part);
}

/* One part of a time in microseconds since midnight, UTC; outside the day where its zone moves it there. */
double
plm_time_part(int64 micros, DatePart part)
{
	int64		seconds = floor_divide(micros, MICROS_PER_SECOND);

	if (micros == NO_TIME)
		return NAN;
	seconds -= floor_divide(seconds, SECONDS_PER_DAY) * SECONDS_PER_DAY;
	switch (part)
	{
		case PART_HOUR:
			return (double) (seconds / 3600);
		case PART_MINUTE:
			return (double) (seconds / 60 % 60);
		case PART_SECOND:
			return (double) (seconds % 60);
		default:
			return (double) micros / 1e6;
	}
}

/* Rounded once, but in the last 30 of the server's 294,276 years, where the sum needs more than 64 bits. */
double
plm_seconds_since_1970(int64 micros)
{
	const int64 shift = SECONDS_TO_2000 * MICROS_PER_SECOND;

	if (micros > INT64_MAX - shift)
		return ((double) micros + (double) shift) / 1e6;
	return (double) (micros + shift) / 1e6;
}
