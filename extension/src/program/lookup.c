#include "lookup.h"

typedef struct Entry
{
	uint64		hash;
	uint32		index;			/* NOT_FOUND: an empty place */
	uint32		length;
	const char *bytes;			/* text only: the hash of a number is one-to-one */
} Entry;

struct Lookup
{
	uint64		mask;
	Entry		entries[];
};

/* A one-to-one mixing of 64 bits (the finalizer of SplitMix64). */
PLM_INLINE uint64
mix(uint64 x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

PLM_INLINE uint64
hash_text(Text value)
{
	uint64		hash = value.length;
	uint64		word;
	uint32		i = 0;

	for (; i + 8 <= value.length; i += 8)
	{
		memcpy(&word, value.bytes + i, 8);
		hash = mix(hash ^ word);
	}
	word = 0;
	for (uint32 shift = 0; i < value.length; i++, shift += 8)
		word |= (uint64) (uint8) value.bytes[i] << shift;
	return mix(hash ^ word);
}

PLM_INLINE uint64
hash_number(double value)
{
	uint64		bits;

	value += 0.0;				/* -0.0 equals 0.0 */
	memcpy(&bits, &value, sizeof(bits));
	return mix(bits);
}

static Lookup *
new_lookup(uint32 count)
{
	uint64		size = 2;
	Lookup	   *lookup;

	/* at most half full, so that a search always meets an empty place */
	while (size < 2 * (uint64) count)
		size *= 2;
	lookup = plm_alloc(sizeof(Lookup) + sizeof(Entry) * size);
	lookup->mask = size - 1;
	for (uint64 i = 0; i < size; i++)
		lookup->entries[i].index = NOT_FOUND;
	return lookup;
}

static void
insert(Lookup *lookup, Entry entry)
{
	uint64		place = entry.hash & lookup->mask;

	while (lookup->entries[place].index != NOT_FOUND)
		place = (place + 1) & lookup->mask;
	lookup->entries[place] = entry;
}

Lookup *
plm_text_lookup(const Text *values, uint32 count)
{
	Lookup	   *lookup = new_lookup(count);

	for (uint32 i = 0; i < count; i++)
	{
		Entry		entry = {hash_text(values[i]), i, values[i].length, values[i].bytes};

		if (plm_find_text(lookup, values[i]) != NOT_FOUND)
			plm_reject("the values of a category are not distinct");
		insert(lookup, entry);
	}
	return lookup;
}

Lookup *
plm_number_lookup(const double *values, uint32 count)
{
	Lookup	   *lookup = new_lookup(count);

	for (uint32 i = 0; i < count; i++)
	{
		Entry		entry = {hash_number(values[i]), i, 0, NULL};

		if (plm_find_number(lookup, values[i]) != NOT_FOUND)
			plm_reject("the values of a category are not distinct");
		insert(lookup, entry);
	}
	return lookup;
}

uint32
plm_find_text(const Lookup *lookup, Text value)
{
	uint64		hash = hash_text(value);

	for (uint64 place = hash & lookup->mask;; place = (place + 1) & lookup->mask)
	{
		const Entry *entry = &lookup->entries[place];

		if (entry->index == NOT_FOUND)
			return NOT_FOUND;
		if (entry->hash == hash && entry->length == value.length &&
			memcmp(entry->bytes, value.bytes, value.length) == 0)
			return entry->index;
	}
}

uint32
plm_find_number(const Lookup *lookup, double value)
{
	uint64		hash = hash_number(value);

	for (uint64 place = hash & lookup->mask;; place = (place + 1) & lookup->mask)
	{
		const Entry *entry = &lookup->entries[place];

		if (entry->index == NOT_FOUND || entry->hash == hash)
			return entry->index;
	}
}
