// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// A participant without a browser and without a line of the bridge's code: ICE by libnice, DTLS by OpenSSL, SRTP by
// libsrtp2. It sends audio, takes what the bridge forwards, and says from which address that came.
//
//     jvbd-peer LOCAL-IP SSRC controlling|controlled [SRTP-PROFILES]
//
// It prints one JSON object in a line for each event, with all that it knows: "description" at once; "connected" after
// ICE and DTLS; "media" when 25 packets have come; "report" at the end. After the description it reads one line:
//
//     UFRAG PWD SHA-256-FINGERPRINT IP PORT
//
// and then runs until its standard input ends. The exit status is 0 if it was connected.

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "CNice.h"
#include "DTLSClient.h"
#include "Media.h"

enum { REMOTES = 16, ENOUGH = 25, FRAME_MS = 20, REPORT_MS = 1000, RESEND_MS = 50 };

/// An address of the bridge and what came from it.
typedef struct {
    cnice_address address;
    uint64_t dtls, rtp, rtcp;
} remote;

typedef struct {
    cnice_agent *agent;
    dtls_client *dtls;
    media *media;
    dtls_keys keys;
    uint32_t ssrc;
    char ufrag[257], pwd[257], fingerprint[96], expected_fingerprint[96];
    const char *failure;
    bool told_media;
    size_t remotes;
    remote from[REMOTES];
    int64_t next_audio, next_report, next_resend;
} peer;

static int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// MARK: What is told

static void print_address(const char *name, const cnice_address *address) {
    printf("\"%s\": {\"ip\": \"%s\", \"port\": %u}", name, address->ip, address->port);
}

static void tell(peer *self, const char *event) {
    static const char *const states[] = {"checking", "connected", "ready", "failed"};
    cnice_address local, other;
    cnice_candidate candidate;
    printf("{\"event\": \"%s\", \"ufrag\": \"%s\", \"pwd\": \"%s\", \"fingerprint\": \"%s\", \"ice\": \"%s\"", event,
           self->ufrag, self->pwd, self->fingerprint, states[cnice_agent_state(self->agent)]);
    if (cnice_agent_candidates(self->agent, &candidate, 1) == 1) {
        printf(", ");
        print_address("address", &candidate.address);
    }
    if (cnice_agent_selected(self->agent, &local, &other)) {
        printf(", \"selected\": {");
        print_address("local", &local);
        printf(", ");
        print_address("remote", &other);
        printf("}");
    }
    if (self->failure) printf(", \"failure\": \"%s\"", self->failure);
    printf(", \"from\": [");
    for (size_t i = 0; i < self->remotes; i++) {
        const remote *from = &self->from[i];
        printf("%s{", i ? ", " : "");
        print_address("address", &from->address);
        printf(", \"dtls\": %llu, \"rtp\": %llu, \"rtcp\": %llu}", (unsigned long long)from->dtls,
               (unsigned long long)from->rtp, (unsigned long long)from->rtcp);
    }
    printf("]");
    if (self->media) {
        const media_counts *counts = media_get_counts(self->media);
        printf(", \"profile\": \"%s\", \"sent\": %llu, \"received\": %llu, \"broken\": %llu, \"refused\": %llu, "
               "\"rtcp\": %llu, \"sources\": {", self->keys.profile, (unsigned long long)counts->sent,
               (unsigned long long)counts->received, (unsigned long long)counts->broken,
               (unsigned long long)counts->refused, (unsigned long long)counts->rtcp);
        for (size_t i = 0; i < counts->sources; i++) {
            printf("%s\"%u\": %llu", i ? ", " : "", counts->of[i].ssrc, (unsigned long long)counts->of[i].packets);
        }
        printf("}");
    }
    printf("}\n");
    fflush(stdout);
}

// MARK: What is done

static remote *count_remote(peer *self, const cnice_address *address) {
    size_t i = 0;
    while (i < self->remotes
           && (self->from[i].address.port != address->port || strcmp(self->from[i].address.ip, address->ip) != 0)) {
        i++;
    }
    if (i == REMOTES) return &self->from[REMOTES - 1];
    if (i == self->remotes) self->from[self->remotes++].address = *address;
    return &self->from[i];
}

static void flush_dtls(peer *self) {
    uint8_t bytes[4096];
    size_t length;
    while ((length = dtls_client_take(self->dtls, bytes, sizeof bytes)) > 0) {
        cnice_agent_send(self->agent, bytes, length);
    }
}

/// After the handshake: is it the bridge that was described, and which keys.
static void connect_media(peer *self) {
    char theirs[96];
    if (!dtls_client_server_fingerprint(self->dtls, theirs) || strcasecmp(theirs, self->expected_fingerprint) != 0) {
        self->failure = "the fingerprint is another one";
    } else if (!dtls_client_keys(self->dtls, &self->keys)) {
        self->failure = "no SRTP keys";
    } else if (!(self->media = media_new(&self->keys, self->ssrc))) {
        self->failure = "libsrtp2 refuses the keys";
    } else {
        self->next_audio = self->next_report = milliseconds();
        tell(self, "connected");
    }
}

static void handshake(peer *self, const uint8_t *bytes, size_t length) {
    if (!dtls_client_receive(self->dtls, bytes, length)) self->failure = "DTLS failed";
    flush_dtls(self);
    if (!self->failure && !self->media && dtls_client_is_connected(self->dtls)) connect_media(self);
}

static void receive(peer *self) {
    uint8_t bytes[4096];
    cnice_address from;
    size_t length;
    while (!self->failure && (length = cnice_agent_receive(self->agent, bytes, sizeof bytes, &from)) > 0) {
        remote *place = count_remote(self, &from);
        if (bytes[0] >= 20 && bytes[0] <= 63) {
            place->dtls++;
            handshake(self, bytes, length);
        } else if (bytes[0] >= 128 && bytes[0] <= 191 && self->media) {
            bool is_rtcp = media_is_rtcp(bytes, length);
            if (media_receive(self->media, bytes, length)) (*(is_rtcp ? &place->rtcp : &place->rtp))++;
        }
    }
}

static void send_media(peer *self, int64_t now) {
    uint8_t bytes[2048];
    size_t length;
    if (now >= self->next_audio) {
        self->next_audio += FRAME_MS;
        if ((length = media_audio(self->media, bytes, sizeof bytes)) > 0) cnice_agent_send(self->agent, bytes, length);
    }
    if (now >= self->next_report) {
        self->next_report += REPORT_MS;
        if ((length = media_report(self->media, bytes, sizeof bytes)) > 0) cnice_agent_send(self->agent, bytes, length);
    }
}

static void run(peer *self) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    char unused[256];
    while (!self->failure) {
        // A peer is one of a few in a test: looking every 2 ms is simpler than waiting on libnice's sockets.
        if (poll(&input, 1, 2) > 0 && read(STDIN_FILENO, unused, sizeof unused) <= 0) return;
        receive(self);
        int64_t now = milliseconds();
        if (cnice_agent_state(self->agent) == CNICE_FAILED) self->failure = "ICE failed";
        if (self->failure) return;
        if (self->media) {
            send_media(self, now);
        } else if (cnice_agent_state(self->agent) == CNICE_READY && now >= self->next_resend) {
            self->next_resend = now + RESEND_MS;
            handshake(self, NULL, 0);
        }
        if (self->media && !self->told_media && media_get_counts(self->media)->received >= ENOUGH) {
            self->told_media = true;
            tell(self, "media");
        }
    }
}

/// The line that describes the bridge.
static bool read_description(peer *self) {
    char line[1024], ufrag[257], pwd[257];
    size_t length = 0;
    // Not through stdio, whose buffer would hide from poll what follows the line.
    while (length + 1 < sizeof line && read(STDIN_FILENO, line + length, 1) == 1 && line[length] != '\n') length++;
    line[length] = 0;
    cnice_candidate bridge;
    memset(&bridge, 0, sizeof bridge);
    bridge.kind = CNICE_HOST;
    bridge.priority = 2130706431;
    strcpy(bridge.foundation, "1");
    if (sscanf(line, "%256s %256s %95s %47s %hu", ufrag, pwd, self->expected_fingerprint, bridge.address.ip,
               &bridge.address.port) != 5) {
        return false;
    }
    return cnice_agent_set_remote(self->agent, ufrag, pwd) && cnice_agent_add_remote(self->agent, &bridge);
}

int main(int count, char **arguments) {
    if (count < 4 || count > 5) {
        fprintf(stderr, "usage: %s LOCAL-IP SSRC controlling|controlled [SRTP-PROFILES]\n", arguments[0]);
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    peer self;
    memset(&self, 0, sizeof self);
    self.ssrc = (uint32_t)strtoul(arguments[2], NULL, 10);
    self.agent = cnice_agent_new(strcmp(arguments[3], "controlling") == 0, arguments[1]);
    self.dtls = dtls_client_new(count == 5 ? arguments[4] : "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80");
    if (!self.agent || !self.dtls || !cnice_agent_credentials(self.agent, self.ufrag, self.pwd, sizeof self.ufrag)
        || !dtls_client_fingerprint(self.dtls, self.fingerprint)) {
        fprintf(stderr, "%s: cannot start on %s\n", arguments[0], arguments[1]);
        return 1;
    }
    tell(&self, "description");
    if (!read_description(&self)) {
        fprintf(stderr, "%s: no usable description of the bridge\n", arguments[0]);
        return 65;
    }
    run(&self);
    tell(&self, "report");
    int status = self.media && !self.failure ? 0 : 1;
    media_free(self.media);
    dtls_client_free(self.dtls);
    cnice_agent_free(self.agent);
    return status;
}
