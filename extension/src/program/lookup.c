#include "lookup.h"

typedef struct Entry
{
	uint32		tag;			/* the hash's upper half */
	uint32		number;			/* of the value, from 1; 0: an empty place */
} Entry;

struct Lookup
{
	HashKey		key;
	uint64		mask;
	uint32		count;
	const Text *texts;			/* one of the two */
	double	   *numbers;		/* without a negative zero */
	Entry	   *entries;
};

/* A value that is looked up, and its hash. */
typedef struct Probe
{
	uint64		hash;
	uint64		bits;
	Text		text;
} Probe;

/* A search that takes more steps has met a key that happens to be bad, and another one is drawn. */
#define MAX_STEPS 1024

/* Both halves of a product, one upon the other. */
PLM_INLINE uint64
fold(uint64 a, uint64 b)
{
#ifdef __SIZEOF_INT128__
	unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64) product ^ (uint64) (product >> 64);
#else
	uint64		low = (a & UINT32_MAX) * (b & UINT32_MAX);
	uint64		one = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
	uint64		other = (a & UINT32_MAX) * (b >> 32) + (one & UINT32_MAX);

	return (other << 32 | (low & UINT32_MAX)) ^ ((a >> 32) * (b >> 32) + (one >> 32) + (other >> 32));
#endif
}

/*
 * Hashes are products with secret numbers: whoever writes a body does not know
 * them, so he can't choose values that collide. (As in wyhash; SipHash would be
 * a quarter of the time of a row with eight categories.)
 */
PLM_INLINE Probe
probe_text(const Lookup *lookup, Text value)
{
	uint64		hash = lookup->key.words[0] ^ value.length;
	Probe		probe = {0, 0, value};
	uint64		word;
	uint32		i = 0;

	for (; value.length - i >= 8; i += 8)
	{
		memcpy(&word, value.bytes + i, 8);
		hash = fold(hash ^ word, lookup->key.words[1]);
	}
	word = 0;
	for (uint32 shift = 0; i < value.length; i++, shift += 8)
		word |= (uint64) (uint8) value.bytes[i] << shift;
	probe.hash = fold(hash ^ word, lookup->key.words[1]);
	return probe;
}

PLM_INLINE Probe
probe_number(const Lookup *lookup, double value)
{
	Probe		probe = {0};

	value += 0.0;				/* -0.0 equals 0.0 */
	memcpy(&probe.bits, &value, sizeof(probe.bits));
	probe.hash = fold(probe.bits ^ lookup->key.words[0], lookup->key.words[1]);
	return probe;
}

PLM_INLINE bool
is_value(const Lookup *lookup, uint32 index, const Probe *probe, bool is_text)
{
	if (is_text)
		return lookup->texts[index].length == probe->text.length &&
			memcmp(lookup->texts[index].bytes, probe->text.bytes, probe->text.length) == 0;
	return memcmp(&lookup->numbers[index], &probe->bits, sizeof(probe->bits)) == 0;
}

/* Where the value is, or the empty place where it would be. */
PLM_INLINE Entry *
find(const Lookup *lookup, const Probe *probe, bool is_text, uint32 *steps)
{
	uint32		tag = (uint32) (probe->hash >> 32);

	for (uint64 place = probe->hash & lookup->mask;; place = (place + 1) & lookup->mask, ++*steps)
	{
		Entry	   *entry = &lookup->entries[place];

		if (entry->number == 0 || (entry->tag == tag && is_value(lookup, entry->number - 1, probe, is_text)))
			return entry;
	}
}

/* Enter all values; false where the key makes a search too long. */
PLM_INLINE bool
fill(Lookup *lookup, bool is_text)
{
	memset(lookup->entries, 0, sizeof(Entry) * (lookup->mask + 1));
	for (uint32 i = 0; i < lookup->count; i++)
	{
		uint32		steps = 0;
		Probe		probe = is_text ? probe_text(lookup, lookup->texts[i]) : probe_number(lookup, lookup->numbers[i]);
		Entry	   *entry = find(lookup, &probe, is_text, &steps);

		PLM_CHECK_INTERRUPTS(i);
		if (entry->number != 0)
			plm_reject("the values of a category are not distinct");
		if (steps > MAX_STEPS)
			return false;
		entry->tag = (uint32) (probe.hash >> 32);
		entry->number = i + 1;
	}
	return true;
}

static Lookup *
new_lookup(uint32 count)
{
	Lookup	   *lookup = plm_alloc(sizeof(Lookup));
	uint64		size = 2;

	/* at most half full, so that a search always meets an empty place */
	while (size < 2 * (uint64) count)
		size *= 2;
	lookup->entries = plm_alloc(sizeof(Entry) * size);
	lookup->mask = size - 1;
	lookup->count = count;
	lookup->key = *plm_hash_key(false);
	return lookup;
}

/* The values are kept. */
Lookup *
plm_text_lookup(const Text *values, uint32 count)
{
	Lookup	   *lookup = new_lookup(count);

	lookup->texts = values;
	while (!fill(lookup, true))
		lookup->key = *plm_hash_key(true);
	return lookup;
}

Lookup *
plm_number_lookup(double *values, uint32 count)
{
	Lookup	   *lookup = new_lookup(count);

	for (uint32 i = 0; i < count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		values[i] += 0.0;
	}
	lookup->numbers = values;
	while (!fill(lookup, false))
		lookup->key = *plm_hash_key(true);
	return lookup;
}

uint32
plm_find_text(const Lookup *lookup, Text value)
{
	Probe		probe = probe_text(lookup, value);
	uint32		steps = 0;

	return find(lookup, &probe, true, &steps)->number - 1;
}

uint32
plm_find_number(const Lookup *lookup, double value)
{
	Probe		probe = probe_number(lookup, value);
	uint32		steps = 0;

	return find(lookup, &probe, false, &steps)->number - 1;
}
