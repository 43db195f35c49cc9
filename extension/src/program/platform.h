/*
 * What the format reader and the kernels need from their host: Postgres
 * (platform.c), or the stand-alone programs of test/fuzz (PLMODEL_STANDALONE).
 */
#ifndef PLMODEL_PLATFORM_H
#define PLMODEL_PLATFORM_H

#ifdef PLMODEL_STANDALONE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;
typedef int32_t int32;
typedef int64_t int64;

#define Min(x, y) ((x) < (y) ? (x) : (y))
#define Max(x, y) ((x) > (y) ? (x) : (y))
#define CHECK_FOR_INTERRUPTS() ((void) 0)
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#else
#include "postgres.h"
#include "miscadmin.h"
#endif

#define PLM_PRINTF __attribute__((format(printf, 1, 2)))
#define PLM_NORETURN __attribute__((noreturn))
#define PLM_INLINE static inline __attribute__((always_inline))

/*
 * For loops over counts that a body states, i being the round: nothing that a
 * body asks for may keep the server from ending a statement.
 */
#define PLM_CHECK_INTERRUPTS(i) \
	do \
	{ \
		if (__builtin_expect(((i) & 0xFFF) == 0xFFF, 0)) \
			CHECK_FOR_INTERRUPTS(); \
	} while (0)

/* Zeroed memory that lives as long as the program; more than 1 GB if need be. */
extern void *plm_alloc(size_t size);
extern void plm_free(void *memory);

/* A text argument of the row, or a text of the body; bytes is NULL where it is missing. */
typedef struct Text
{
	const char *bytes;
	uint32		length;
} Text;

/*
 * Text of a body, which is UTF-8, in the server's encoding, copied to the
 * program's memory with a final zero byte. Refuses text that is not valid.
 */
extern Text plm_server_text(Text utf8);

/* Text of a row, which is in the server's encoding, in UTF-8; what was made for it lives as long as the call. */
extern Text plm_utf8_text(Text server);

/* The key that values are hashed by: drawn once in each process, or a new one. */
typedef struct HashKey
{
	uint64		words[2];
} HashKey;

extern const HashKey *plm_hash_key(bool draw);

/* The function whose body is being read: messages name it. */
extern const char *plm_function_name;

/* Refuse the body. The message never holds bytes of the body. */
extern PLM_NORETURN PLM_PRINTF void plm_reject(const char *format,...);

/* Same, for a well-formed body that asks for something this server can't do. */
extern PLM_NORETURN PLM_PRINTF void plm_reject_unsupported(const char *format,...);

#endif
