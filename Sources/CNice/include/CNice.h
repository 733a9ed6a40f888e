// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// libnice for tests and the test peer: an ICE agent and a STUN codec that share no code with ours. GLib stays inside:
// nothing here calls back, everything is polled by one thread.
#ifndef CNICE_H
#define CNICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// An address literal, IPv4 or IPv6, and a UDP port.
typedef struct {
    char ip[48];
    uint16_t port;
} cnice_address;

// MARK: Agent

/// An agent for one stream with one component (rtcp-mux), on one local address.
typedef struct cnice_agent cnice_agent;

typedef enum { CNICE_HOST = 0, CNICE_SERVER_REFLEXIVE = 1, CNICE_PEER_REFLEXIVE = 2, CNICE_RELAYED = 3 } cnice_kind;

typedef struct {
    cnice_address address;
    uint32_t priority;
    cnice_kind kind;
    char foundation[33];
} cnice_candidate;

/// CONNECTED: a pair works. READY: one is nominated as well. FAILED includes the loss of consent.
typedef enum { CNICE_CHECKING = 0, CNICE_CONNECTED = 1, CNICE_READY = 2, CNICE_FAILED = 3 } cnice_state;

/// Binds a UDP socket on `local_ip`, port chosen by the kernel. NULL on failure.
cnice_agent *cnice_agent_new(bool controlling, const char *local_ip);
void cnice_agent_free(cnice_agent *agent);

/// Ours, for the other side; each buffer has room for `capacity` bytes.
bool cnice_agent_credentials(cnice_agent *agent, char *ufrag, char *pwd, size_t capacity);
/// Copies at most `capacity` of our candidates; returns how many.
size_t cnice_agent_candidates(cnice_agent *agent, cnice_candidate *candidates, size_t capacity);

/// The other side's. Checks start when both credentials and a candidate are known, or with the first check from there.
bool cnice_agent_set_remote(cnice_agent *agent, const char *ufrag, const char *pwd);
bool cnice_agent_add_remote(cnice_agent *agent, const cnice_candidate *candidate);

/// Does what is due, then takes the oldest datagram that is not STUN and comes from a known candidate. Returns its
/// length, 0 when there is none. Never waits; to be called every few milliseconds even when no data is expected.
size_t cnice_agent_receive(cnice_agent *agent, uint8_t *bytes, size_t capacity, cnice_address *from);
/// Sends over the selected pair.
bool cnice_agent_send(cnice_agent *agent, const uint8_t *bytes, size_t length);

cnice_state cnice_agent_state(cnice_agent *agent);
/// False when no pair is selected.
bool cnice_agent_selected(cnice_agent *agent, cnice_address *local, cnice_address *remote);

// MARK: STUN

/// A STUN endpoint with short-term credentials and FINGERPRINT. Holds one message being written and the last one
/// validated, and remembers at most 200 requests that have no response.
typedef struct cnice_stun cnice_stun;

/// Result of cnice_stun_validate: 0 is success, the others are libnice's StunValidationStatus.
typedef enum {
    CNICE_VALID = 0,
    CNICE_NOT_STUN = 1,
    CNICE_INCOMPLETE = 2,
    CNICE_BAD_REQUEST = 3,
    CNICE_UNAUTHORIZED_BAD_REQUEST = 4,
    CNICE_UNAUTHORIZED = 5,
    CNICE_UNMATCHED_RESPONSE = 6,
    CNICE_UNKNOWN_REQUEST_ATTRIBUTE = 7,
    CNICE_UNKNOWN_ATTRIBUTE = 8,
    CNICE_FORBIDDEN = 9,
} cnice_validity;

/// `username` and `password` are those of the requests it receives, `peer_password` signs the requests it sends; each
/// is at most 512 bytes. NULL on failure.
cnice_stun *cnice_stun_new(const char *username, const char *password, const char *peer_password);
void cnice_stun_free(cnice_stun *stun);

/// Starts a message: a Binding request with this transaction id, or a response to the request that was validated last.
bool cnice_stun_begin_request(cnice_stun *stun, const uint8_t transaction[12]);
bool cnice_stun_begin_response(cnice_stun *stun);
bool cnice_stun_begin_error(cnice_stun *stun, int code);

bool cnice_stun_add_bytes(cnice_stun *stun, uint16_t type, const uint8_t *bytes, size_t length);
bool cnice_stun_add_32(cnice_stun *stun, uint16_t type, uint32_t value);
bool cnice_stun_add_64(cnice_stun *stun, uint16_t type, uint64_t value);
bool cnice_stun_add_flag(cnice_stun *stun, uint16_t type);
bool cnice_stun_add_xor_address(cnice_stun *stun, uint16_t type, const cnice_address *address);

/// Adds MESSAGE-INTEGRITY and FINGERPRINT and copies the message. Returns the length, 0 on failure.
size_t cnice_stun_finish(cnice_stun *stun, uint8_t *out, size_t capacity);

/// Checks a datagram and keeps it. A request is forgotten once its response was valid.
cnice_validity cnice_stun_validate(cnice_stun *stun, const uint8_t *bytes, size_t length);

/// Facts of the message that was validated last. The class is 0 request, 1 indication, 2 success, 3 error. False when
/// the attribute is missing or malformed.
int cnice_stun_class(const cnice_stun *stun);
int cnice_stun_method(const cnice_stun *stun);
void cnice_stun_transaction(const cnice_stun *stun, uint8_t transaction[12]);
bool cnice_stun_get_bytes(const cnice_stun *stun, uint16_t type, uint8_t *bytes, size_t capacity, size_t *length);
bool cnice_stun_get_32(const cnice_stun *stun, uint16_t type, uint32_t *value);
bool cnice_stun_get_64(const cnice_stun *stun, uint16_t type, uint64_t *value);
bool cnice_stun_get_flag(const cnice_stun *stun, uint16_t type);
bool cnice_stun_get_xor_address(const cnice_stun *stun, uint16_t type, cnice_address *address);
bool cnice_stun_get_error(const cnice_stun *stun, int *code);

#endif
