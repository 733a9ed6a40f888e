// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// SRTP's view of Intel's multi-buffer library: AES-GCM packet by packet with the widest instructions there are, AES-CM with
// HMAC-SHA1 several packets at once. On processors other than x86-64 everything here says that it is unavailable.
#ifndef CIPSECMB_H
#define CIPSECMB_H

#include <stddef.h>
#include <stdint.h>

// A job manager: one per thread.
typedef struct jvbd_mb jvbd_mb;
// Expanded keys of one direction and packet kind.
typedef struct jvbd_mb_key jvbd_mb_key;

// Jobs that may be queued between two flushes; a slot is 0 ... jvbd_mb_slots - 1.
enum { jvbd_mb_slots = 128 };

// NULL where the processor has no AES-NI, PCLMULQDQ and AVX2, or is none of x86-64.
jvbd_mb *jvbd_mb_new(void);
void jvbd_mb_free(jvbd_mb *manager);

// `key_length` is 16 or 32. NULL when memory is short.
jvbd_mb_key *jvbd_mb_key_new_gcm(jvbd_mb *manager, const uint8_t *key, size_t key_length);
// `key` is 16 bytes, `authentication_key` 20.
jvbd_mb_key *jvbd_mb_key_new_cm(jvbd_mb *manager, const uint8_t *key, const uint8_t *authentication_key);
// Wipes and frees. NULL is allowed.
void jvbd_mb_key_free(jvbd_mb_key *key);

// One packet, done at once; `iv` is 12 bytes. The first `patch_length` plaintext bytes are at `out`, the others in
// `payload`, whose first `patch_length` bytes are not read. Opening returns 0 when the tag is wrong.
void jvbd_mb_gcm_seal(jvbd_mb *manager, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *associated,
                      int associated_length, uint8_t *out, int patch_length, const uint8_t *payload,
                      int payload_length, uint8_t *tag);
int jvbd_mb_gcm_open(jvbd_mb *manager, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *associated,
                     int associated_length, const uint8_t *payload, int payload_length, uint8_t *out,
                     const uint8_t *tag);

// Queues one packet; all memory must stay until the flush. `payload_length` is not 0 and header and payload are not more
// than 8192 bytes. `packet` and `out` start with the header and have room for four bytes behind the payload.
void jvbd_mb_cm_seal(jvbd_mb *manager, int slot, const jvbd_mb_key *key, const uint8_t *iv, uint8_t *packet,
                     int header_length, int patch_length, const uint8_t *payload, int payload_length,
                     uint32_t trailer);
void jvbd_mb_cm_open(jvbd_mb *manager, int slot, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *payload,
                     uint8_t *out, int header_length, int payload_length, uint32_t trailer);
// Finishes all queued packets.
void jvbd_mb_cm_flush(jvbd_mb *manager);
// After the flush: writes the 10 bytes of tag of a sealed packet, or compares those of an opened one. 1 on success.
int jvbd_mb_cm_sealed(jvbd_mb *manager, int slot, uint8_t *tag);
int jvbd_mb_cm_opened(jvbd_mb *manager, int slot, const uint8_t *tag);

#endif
