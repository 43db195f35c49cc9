#include "reader.h"

/* Bytes of the next item; refuses a body that ends before it. */
const uint8 *
read_bytes(Reader *reader, size_t length)
{
	const uint8 *bytes = reader->position;

	if ((size_t) (reader->end - reader->position) < length)
		plm_reject("it ends too early");
	reader->position += length;
	return bytes;
}

uint8
read_u8(Reader *reader)
{
	return *read_bytes(reader, 1);
}

uint16
read_u16(Reader *reader)
{
	const uint8 *b = read_bytes(reader, 2);

	return (uint16) (b[0] | b[1] << 8);
}

/* Little-endian on every machine; compilers make one load of it. */
uint32
read_u32(Reader *reader)
{
	const uint8 *b = read_bytes(reader, 4);

	return (uint32) b[0] | (uint32) b[1] << 8 | (uint32) b[2] << 16 | (uint32) b[3] << 24;
}

float
read_f32(Reader *reader)
{
	uint32		bits = read_u32(reader);
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

double
read_f64(Reader *reader)
{
	uint64		low = read_u32(reader);
	uint64		bits = low | (uint64) read_u32(reader) << 32;
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * A count of items of at least item_size bytes each. No more are accepted than
 * the rest of the body can hold, so what is allocated for them stays within a
 * small multiple of the body's size.
 */
uint32
read_count(Reader *reader, size_t item_size)
{
	uint32		count = read_u32(reader);

	if (count > (size_t) (reader->end - reader->position) / item_size)
		plm_reject("a count is greater than the body can hold");
	return count;
}

uint32
read_below(Reader *reader, uint32 limit, const char *what)
{
	uint32		value = read_u32(reader);

	if (value >= limit)
		plm_reject("%s %u is not below %u", what, value, limit);
	return value;
}

uint32 *
read_indexes(Reader *reader, uint32 count, uint32 limit, const char *what)
{
	uint32	   *indexes = plm_alloc(sizeof(uint32) * (size_t) count);

	for (uint32 i = 0; i < count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		indexes[i] = read_below(reader, limit, what);
	}
	return indexes;
}

double *
read_doubles(Reader *reader, uint32 count)
{
	double	   *values = plm_alloc(sizeof(double) * (size_t) count);

	for (uint32 i = 0; i < count; i++)
	{
		PLM_CHECK_INTERRUPTS(i);
		values[i] = read_f64(reader);
	}
	return values;
}

/* A part that begins with its own length. */
Reader
read_section(Reader *reader)
{
	uint32		length = read_u32(reader);
	Reader		section;

	section.position = read_bytes(reader, length);
	section.end = reader->position;
	return section;
}

void
read_end(const Reader *reader, const char *what)
{
	if (reader->position != reader->end)
		plm_reject("%s has bytes left over", what);
}

/*
 * CRC-32 as zlib computes it, eight bytes at a time: 2 MB take about 1 ms, a
 * byte at a time 5 ms, which a first call would feel.
 */
uint32
plm_crc32(const uint8 *bytes, size_t length)
{
	static uint32 table[8][256];
	uint32		crc = 0xFFFFFFFF;

	if (table[0][1] == 0)
	{
		for (uint32 i = 0; i < 256; i++)
		{
			uint32		c = i;

			for (int bit = 0; bit < 8; bit++)
				c = (c >> 1) ^ (0xEDB88320 & (0 - (c & 1)));
			table[0][i] = c;
		}
		for (int k = 1; k < 8; k++)
			for (uint32 i = 0; i < 256; i++)
				table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xFF];
	}
	for (; length >= 8; length -= 8, bytes += 8)
	{
		PLM_CHECK_INTERRUPTS(length / 8);
		crc ^= (uint32) bytes[0] | (uint32) bytes[1] << 8 | (uint32) bytes[2] << 16 | (uint32) bytes[3] << 24;
		crc = table[7][crc & 0xFF] ^ table[6][crc >> 8 & 0xFF] ^ table[5][crc >> 16 & 0xFF] ^
			table[4][crc >> 24] ^ table[3][bytes[4]] ^ table[2][bytes[5]] ^ table[1][bytes[6]] ^
			table[0][bytes[7]];
	}
	while (length-- > 0)
		crc = (crc >> 8) ^ table[0][(crc ^ *bytes++) & 0xFF];
	return ~crc;
}

/* The value of a base64 digit, or 64 and more for any other character. */
static const uint8 *
base64_digits(void)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static uint8 digits[256];

	if (digits['B'] == 0)
	{
		memset(digits, 0xFF, sizeof(digits));
		for (uint8 i = 0; i < 64; i++)
			digits[(uint8) alphabet[i]] = i;
	}
	return digits;
}

/*
 * Decode base64 with padding and without white space into bytes, which has room
 * for length / 4 * 3; returns how many were written. (The server's own decoder
 * has three signatures between PostgreSQL 13 and 18.)
 */
size_t
plm_base64_decode(const char *text, size_t length, uint8 *bytes)
{
	const uint8 *digits = base64_digits();
	const uint8 *in = (const uint8 *) text;
	uint8	   *out = bytes;
	size_t		padding = 0;
	uint8		seen = 0;

	if (length == 0 || length % 4 != 0)
		plm_reject("it is not base64");
	while (padding < 2 && in[length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < length; i += 4)
	{
		uint32		group = 0;
		size_t		n_digits = i + 4 < length ? 4 : 4 - padding;

		PLM_CHECK_INTERRUPTS(i / 4);
		for (size_t k = 0; k < 4; k++)
		{
			uint8		digit = k < n_digits ? digits[in[i + k]] : 0;

			seen |= digit;
			group = group << 6 | digit;
		}
		*out++ = (uint8) (group >> 16);
		*out++ = (uint8) (group >> 8);
		*out++ = (uint8) group;
	}
	if (seen >= 64)
		plm_reject("it is not base64");
	return (size_t) (out - bytes) - padding;
}
