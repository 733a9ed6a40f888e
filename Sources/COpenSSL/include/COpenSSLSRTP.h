// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// SRTP's view of libcrypto: one keyed context per direction and packet kind whose key schedule is kept, so that a packet
// costs no set-up but its initialisation vector (RFC 3711 section 4, RFC 7714).
#ifndef COPENSSL_SRTP_H
#define COPENSSL_SRTP_H

#include <stddef.h>
#include <stdint.h>

typedef struct jvbd_srtp_context jvbd_srtp_context;

// AES in counter mode from a 16-byte initial counter block, as the key derivation wants it. 1 on success.
int jvbd_srtp_keystream(const uint8_t *key, size_t key_length, const uint8_t *counter, uint8_t *out, size_t length);

// AES-CM with HMAC-SHA1: `key` is 16 bytes, `authentication_key` 20. NULL when libcrypto refuses.
jvbd_srtp_context *jvbd_srtp_context_new_cm(const uint8_t *key, const uint8_t *authentication_key);
// AES-GCM: `key_length` is 16 or 32. A context either seals or opens. NULL when libcrypto refuses.
jvbd_srtp_context *jvbd_srtp_context_new_gcm(const uint8_t *key, size_t key_length, int seals);
// Frees and wipes the context. NULL is allowed.
void jvbd_srtp_context_free(jvbd_srtp_context *context);

// One packet. `iv` is 16 bytes for CM and 12 for GCM. Returns 1 on success; opening returns 0 when the tag is wrong.
//
// Sealing: `packet` holds the header and, behind it, `patch_length` plaintext bytes that stand for the first bytes of
// `payload`; the ciphertext of both replaces them. Opening: `packet` is the protected packet, `out` gets the payload.
// CM authenticates header, ciphertext and the four bytes `trailer` (rollover counter, or E flag and SRTCP index).
int jvbd_srtp_cm_seal(jvbd_srtp_context *context, const uint8_t *iv, uint8_t *packet, int header_length,
                      int patch_length, const uint8_t *payload, int payload_length, uint32_t trailer, uint8_t *tag);
int jvbd_srtp_cm_open(jvbd_srtp_context *context, const uint8_t *iv, const uint8_t *packet, int header_length,
                      int payload_length, uint8_t *out, uint32_t trailer, const uint8_t *tag);
// GCM authenticates `associated` and the ciphertext. `out` is where the payload starts in the sealed packet.
int jvbd_srtp_gcm_seal(jvbd_srtp_context *context, const uint8_t *iv, const uint8_t *associated,
                       int associated_length, uint8_t *out, int patch_length, const uint8_t *payload,
                       int payload_length, uint8_t *tag);
int jvbd_srtp_gcm_open(jvbd_srtp_context *context, const uint8_t *iv, const uint8_t *associated,
                       int associated_length, const uint8_t *payload, int payload_length, uint8_t *out,
                       const uint8_t *tag);

// Overwrites memory that held keys; never optimised away.
void jvbd_srtp_cleanse(void *memory, size_t length);

#endif
