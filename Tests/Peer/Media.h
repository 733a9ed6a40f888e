// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// Audio as a participant sends and receives it: RTP and RTCP under libsrtp2. The payload is not sound but a pattern, so
// that the receiver can tell whether it is what another peer sent.
#ifndef PEER_MEDIA_H
#define PEER_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "DTLSClient.h"

enum { MEDIA_SOURCES = 64, MEDIA_PAYLOAD_TYPE = 111, MEDIA_AUDIO_LEVEL = 1 };

typedef struct media media;

typedef struct {
    uint64_t sent, received, broken, refused, rtcp;
    size_t sources;
    struct {
        uint32_t ssrc;
        uint64_t packets;
    } of[MEDIA_SOURCES];
} media_counts;

/// We are the DTLS client. NULL on failure.
media *media_new(const dtls_keys *keys, uint32_t ssrc);
void media_free(media *self);

/// Makes the next 20 ms of audio, or a sender report with our name. Returns the length, 0 on failure.
size_t media_audio(media *self, uint8_t *bytes, size_t capacity);
size_t media_report(media *self, uint8_t *bytes, size_t capacity);

/// Takes and counts an SRTP or SRTCP packet; `bytes` is decrypted in place. False when it is refused.
bool media_receive(media *self, uint8_t *bytes, size_t length);
const media_counts *media_get_counts(const media *self);

/// RFC 5761 section 4: what follows the RTP version is RTCP.
static inline bool media_is_rtcp(const uint8_t *bytes, size_t length) {
    return length >= 2 && bytes[1] >= 192 && bytes[1] <= 223;
}

#endif
