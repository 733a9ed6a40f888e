// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// The client side of DTLS-SRTP (RFC 5764) on plain OpenSSL, with datagrams given and taken.
#ifndef PEER_DTLS_CLIENT_H
#define PEER_DTLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dtls_client dtls_client;

/// Keys of both directions: key followed by salt, as libsrtp2 wants them.
typedef struct {
    const char *profile;
    unsigned long profile_number;
    uint8_t client[64], server[64];
} dtls_keys;

/// `profiles` as OpenSSL writes them, separated by colons. NULL on failure.
dtls_client *dtls_client_new(const char *profiles);
void dtls_client_free(dtls_client *client);

/// SHA-256 of our certificate, and of the server's after the handshake: "AA:BB:..." (95 characters).
bool dtls_client_fingerprint(const dtls_client *client, char text[96]);
bool dtls_client_server_fingerprint(const dtls_client *client, char text[96]);

/// Takes a datagram (or NULL: starts, or sends again what was lost), then goes on. False when the handshake failed.
bool dtls_client_receive(dtls_client *client, const uint8_t *bytes, size_t length);
/// Next datagram to send; 0 when there is none.
size_t dtls_client_take(dtls_client *client, uint8_t *bytes, size_t capacity);
bool dtls_client_is_connected(const dtls_client *client);
bool dtls_client_keys(dtls_client *client, dtls_keys *keys);

#endif
