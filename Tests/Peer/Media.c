// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include "Media.h"

#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADER = 12, EXTENSION = 8, PAYLOAD = 80, SAMPLES = 960 };

struct media {
    srtp_t out, in;
    uint32_t ssrc, timestamp, octets;
    uint16_t sequence;
    media_counts counts;
};

static void put16(uint8_t *to, uint16_t value) { to[0] = (uint8_t)(value >> 8), to[1] = (uint8_t)value; }

static void put32(uint8_t *to, uint32_t value) { put16(to, (uint16_t)(value >> 16)), put16(to + 2, (uint16_t)value); }

static uint32_t get32(const uint8_t *from) {
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static bool set_policy(srtp_policy_t *policy, unsigned long profile) {
    // libsrtp2 numbers profiles as IANA and OpenSSL do.
    return srtp_crypto_policy_set_from_profile_for_rtp(&policy->rtp, (srtp_profile_t)profile) == srtp_err_status_ok
        && srtp_crypto_policy_set_from_profile_for_rtcp(&policy->rtcp, (srtp_profile_t)profile) == srtp_err_status_ok;
}

static srtp_t session(const dtls_keys *keys, srtp_ssrc_type_t direction, const uint8_t *key) {
    uint8_t copy[64];
    memcpy(copy, key, sizeof copy);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    policy.ssrc.type = direction;
    policy.key = copy;
    policy.window_size = 1024;
    srtp_t made = NULL;
    return set_policy(&policy, keys->profile_number) && srtp_create(&made, &policy) == srtp_err_status_ok ? made : NULL;
}

media *media_new(const dtls_keys *keys, uint32_t ssrc) {
    if (srtp_init() != srtp_err_status_ok) return NULL;
    media *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->ssrc = ssrc;
    self->sequence = (uint16_t)ssrc;
    self->timestamp = ssrc;
    self->out = session(keys, ssrc_any_outbound, keys->client);
    self->in = session(keys, ssrc_any_inbound, keys->server);
    if (!self->out || !self->in) {
        media_free(self);
        return NULL;
    }
    return self;
}

void media_free(media *self) {
    if (!self) return;
    if (self->out) srtp_dealloc(self->out);
    if (self->in) srtp_dealloc(self->in);
    free(self);
}

/// A counter, and what follows from it and the source.
static void fill(uint8_t payload[PAYLOAD], uint32_t ssrc, uint32_t counter) {
    put32(payload, counter);
    for (int i = 4; i < PAYLOAD; i++) payload[i] = (uint8_t)((ssrc ^ counter) + (uint32_t)i * 7);
}

size_t media_audio(media *self, uint8_t *bytes, size_t capacity) {
    if (capacity < HEADER + EXTENSION + PAYLOAD + SRTP_MAX_TRAILER_LEN) return 0;
    bytes[0] = 0x90;
    bytes[1] = MEDIA_PAYLOAD_TYPE;
    put16(bytes + 2, self->sequence++);
    put32(bytes + 4, self->timestamp);
    put32(bytes + 8, self->ssrc);
    put32(bytes + 12, 0xBEDE0001);
    // One byte of audio level (RFC 6464): speech at -20 dBov; the rest is padding.
    put32(bytes + 16, (uint32_t)MEDIA_AUDIO_LEVEL << 28 | (0x80u | 20u) << 16);
    fill(bytes + HEADER + EXTENSION, self->ssrc, (uint32_t)self->counts.sent);
    self->timestamp += SAMPLES;
    self->octets += PAYLOAD;
    int length = HEADER + EXTENSION + PAYLOAD;
    if (srtp_protect(self->out, bytes, &length) != srtp_err_status_ok) return 0;
    self->counts.sent++;
    return (size_t)length;
}

size_t media_report(media *self, uint8_t *bytes, size_t capacity) {
    static const char name[] = "jvbd-peer";
    enum { SENDER_REPORT = 28, CHUNK = 4 + 2 + sizeof name - 1, DESCRIPTION = 4 + (CHUNK + 4) / 4 * 4 };
    if (capacity < SENDER_REPORT + DESCRIPTION + SRTP_MAX_TRAILER_LEN + 4) return 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(bytes, 0, SENDER_REPORT + DESCRIPTION);
    put32(bytes, 0x80C80000 | (SENDER_REPORT / 4 - 1));
    put32(bytes + 4, self->ssrc);
    put32(bytes + 8, (uint32_t)((uint64_t)now.tv_sec + 2208988800u));
    put32(bytes + 12, (uint32_t)(((uint64_t)now.tv_nsec << 32) / 1000000000u));
    put32(bytes + 16, self->timestamp);
    put32(bytes + 20, (uint32_t)self->counts.sent);
    put32(bytes + 24, self->octets);
    uint8_t *description = bytes + SENDER_REPORT;
    put32(description, 0x81CA0000 | (DESCRIPTION / 4 - 1));
    put32(description + 4, self->ssrc);
    description[8] = 1;
    description[9] = sizeof name - 1;
    memcpy(description + 10, name, sizeof name - 1);
    int length = SENDER_REPORT + DESCRIPTION;
    return srtp_protect_rtcp(self->out, bytes, &length) == srtp_err_status_ok ? (size_t)length : 0;
}

static void count(media_counts *counts, uint32_t ssrc) {
    counts->received++;
    size_t i = 0;
    while (i < counts->sources && counts->of[i].ssrc != ssrc) i++;
    if (i == MEDIA_SOURCES) return;
    if (i == counts->sources) counts->of[counts->sources++].ssrc = ssrc;
    counts->of[i].packets++;
}

static bool is_intact(const uint8_t *bytes, size_t length) {
    uint8_t expected[PAYLOAD];
    size_t header = HEADER + 4u * (bytes[0] & 15);
    if (bytes[0] & 16 && header + 4 <= length) header += 4u + 4u * (size_t)(bytes[header + 2] << 8 | bytes[header + 3]);
    if ((bytes[1] & 127) != MEDIA_PAYLOAD_TYPE || header + PAYLOAD != length) return false;
    fill(expected, get32(bytes + 8), get32(bytes + header));
    return memcmp(expected, bytes + header, PAYLOAD) == 0;
}

bool media_receive(media *self, uint8_t *bytes, size_t size) {
    int length = (int)size;
    if (media_is_rtcp(bytes, size)) {
        bool opened = srtp_unprotect_rtcp(self->in, bytes, &length) == srtp_err_status_ok;
        (*(opened ? &self->counts.rtcp : &self->counts.refused))++;
        return opened;
    }
    if (size < HEADER || srtp_unprotect(self->in, bytes, &length) != srtp_err_status_ok || length < HEADER) {
        self->counts.refused++;
        return false;
    }
    count(&self->counts, get32(bytes + 8));
    if (!is_intact(bytes, (size_t)length)) self->counts.broken++;
    return true;
}

const media_counts *media_get_counts(const media *self) { return &self->counts; }
