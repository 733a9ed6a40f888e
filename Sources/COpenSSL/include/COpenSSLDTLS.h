// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
//
// DTLS 1.2 with DTLS-SRTP (RFC 6347, RFC 5764) as a machine that takes and gives datagrams. OpenSSL 3.0 has no BIO that
// keeps the boundaries of datagrams in memory (BIO_s_dgram_mem came with 3.2), and most of its configuration is macros
// that Swift cannot see. Every callback of OpenSSL ends in this file's C; none calls Swift.

#ifndef COPENSSL_DTLS_H
#define COPENSSL_DTLS_H

#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

/// One DTLS association: its SSL object, the datagram being read and the datagrams to be sent.
typedef struct cossl_dtls cossl_dtls;

/// How far a call of cossl_dtls_handshake or cossl_dtls_read got.
typedef enum {
    COSSL_PROGRESS_DONE = 0,    // handshake complete; or application data was read
    COSSL_PROGRESS_WAITING = 1, // needs a datagram from the peer
    COSSL_PROGRESS_CLOSED = 2,  // the peer sent close_notify
    COSSL_PROGRESS_FAILED = 3,  // fatal; the error queue says why
} cossl_progress;

/// Hash functions of certificate fingerprints (RFC 8122).
typedef enum { COSSL_SHA1 = 0, COSSL_SHA256 = 1, COSSL_SHA384 = 2, COSSL_SHA512 = 3 } cossl_hash;

/// Makes a P-256 key and a certificate signed by it (ecdsa-with-SHA256); both are written as DER (the key as PKCS #8).
/// The lengths are capacities on entry. Times are seconds since 1970. Returns 1, or 0 with the error queue filled.
int cossl_identity_generate(int64_t not_before, int64_t not_after, const char *common_name, uint8_t *certificate,
                            size_t *certificate_length, uint8_t *key, size_t *key_length);

/// Digest of DER bytes; `digest` has room for 64. Returns its length, 0 on failure.
size_t cossl_digest(cossl_hash hash, const uint8_t *bytes, size_t length, uint8_t *digest);

/// Configuration that many associations of one thread share. NULL with the error queue filled.
SSL_CTX *cossl_dtls_context_new(const uint8_t *certificate, size_t certificate_length, const uint8_t *key,
                                size_t key_length);
void cossl_dtls_context_free(SSL_CTX *context);

/// `profiles`: OpenSSL's names, colon-separated, preferred first. `mtu`: bytes of a UDP payload. NULL on failure.
cossl_dtls *cossl_dtls_new(SSL_CTX *context, const char *profiles, long mtu, unsigned int first_timeout_us);
void cossl_dtls_free(cossl_dtls *dtls);

/// Asks for these application protocols (RFC 7301 wire form) in the ClientHello. 1 on success.
int cossl_dtls_offer_protocols(cossl_dtls *dtls, const uint8_t *protocols, unsigned int length);

/// Chooses the role; the first cossl_dtls_handshake of a client sends its ClientHello.
void cossl_dtls_start(cossl_dtls *dtls, int is_server);

/// Goes on with the handshake. `datagram` (may be NULL) is only read during the call.
cossl_progress cossl_dtls_handshake(cossl_dtls *dtls, const uint8_t *datagram, size_t length);

/// Reads the data of one record. To be called without a datagram until it says WAITING, before the next one is given.
cossl_progress cossl_dtls_read(cossl_dtls *dtls, const uint8_t *datagram, size_t length, uint8_t *out,
                               size_t capacity, size_t *out_length);

/// Sends application data as one record. 1 on success.
int cossl_dtls_write(cossl_dtls *dtls, const uint8_t *bytes, size_t length);

/// Sends close_notify.
void cossl_dtls_shutdown(cossl_dtls *dtls);

/// Microseconds until the flight must be sent again, by OpenSSL's own clock; -1 when no timer runs.
int64_t cossl_dtls_timeout(cossl_dtls *dtls);
/// Sends the flight again if its time has come. 1 if so, 0 if not yet, -1 on failure.
int cossl_dtls_handle_timeout(cossl_dtls *dtls);

/// Length of the oldest datagram to be sent, 0 if there is none; how many there are; how many were lost for want of
/// room.
size_t cossl_dtls_pending(const cossl_dtls *dtls);
size_t cossl_dtls_pending_count(const cossl_dtls *dtls);
uint64_t cossl_dtls_overflows(const cossl_dtls *dtls);
/// Moves the oldest datagram to `out`, which has room for it. Returns its length.
size_t cossl_dtls_take(cossl_dtls *dtls, uint8_t *out, size_t capacity);

/// After the handshake: IANA number of the SRTP protection profile (0: none), exporter of RFC 5705 without context,
/// digest of the peer's certificate (as cossl_digest; 0: there is none), negotiated facts.
unsigned int cossl_dtls_profile(cossl_dtls *dtls);
int cossl_dtls_export(cossl_dtls *dtls, const char *label, size_t label_length, uint8_t *out, size_t length);
size_t cossl_dtls_peer_digest(cossl_dtls *dtls, cossl_hash hash, uint8_t *digest);
int cossl_dtls_extended_master_secret(cossl_dtls *dtls);
const char *cossl_dtls_cipher(cossl_dtls *dtls);

/// Oldest error of this thread's queue, which is emptied; 0 if there was none. `reason` gets its text. If the error is
/// a fatal alert from the peer, `alert` gets its description, else -1.
unsigned long cossl_take_error(char *reason, size_t capacity, int *alert);

#endif
