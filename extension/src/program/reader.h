/* Reads a body from front to back; every read is checked against its end. */
#ifndef PLMODEL_READER_H
#define PLMODEL_READER_H

#include "platform.h"

typedef struct Reader
{
	const uint8 *position;
	const uint8 *end;
} Reader;

extern uint8 read_u8(Reader *reader);
extern uint16 read_u16(Reader *reader);
extern uint32 read_u32(Reader *reader);
extern float read_f32(Reader *reader);
extern double read_f64(Reader *reader);
extern const uint8 *read_bytes(Reader *reader, size_t length);
extern uint32 read_count(Reader *reader, size_t item_size);
extern uint32 read_below(Reader *reader, uint32 limit, const char *what);
extern uint32 *read_indexes(Reader *reader, uint32 count, uint32 limit, const char *what);
extern double *read_doubles(Reader *reader, uint32 count);
extern Reader read_section(Reader *reader);
extern void read_end(const Reader *reader, const char *what);

extern uint32 plm_crc32(const uint8 *bytes, size_t length);
extern size_t plm_base64_decode(const char *text, size_t length, uint8 *bytes);

#endif
