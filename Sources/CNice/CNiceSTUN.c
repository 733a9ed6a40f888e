// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <stun/stunagent.h>

#include "CNice.h"

enum { CAPACITY = 2048, NAME = 513 };

struct cnice_stun {
    StunAgent agent;
    StunMessage written, read;
    uint8_t written_bytes[CAPACITY], read_bytes[CAPACITY];
    // libnice keeps pointers to keys.
    char username[NAME], password[NAME], peer_password[NAME];
};

// The agent keeps the pointer, so the table must outlive it.
static const uint16_t known[] = {
    STUN_ATTRIBUTE_MAPPED_ADDRESS, STUN_ATTRIBUTE_USERNAME, STUN_ATTRIBUTE_MESSAGE_INTEGRITY, STUN_ATTRIBUTE_ERROR_CODE,
    STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, STUN_ATTRIBUTE_PRIORITY,
    STUN_ATTRIBUTE_USE_CANDIDATE, 0,
};

static bool copy(char to[NAME], const char *from) {
    size_t length = strlen(from);
    if (length >= NAME) return false;
    memcpy(to, from, length + 1);
    return true;
}

cnice_stun *cnice_stun_new(const char *username, const char *password, const char *peer_password) {
    cnice_stun *self = calloc(1, sizeof *self);
    if (!self || !copy(self->username, username) || !copy(self->password, password)
        || !copy(self->peer_password, peer_password)) {
        free(self);
        return NULL;
    }
    stun_agent_init(&self->agent, known, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
    return self;
}

void cnice_stun_free(cnice_stun *self) { free(self); }

// MARK: Writing

bool cnice_stun_begin_request(cnice_stun *self, const uint8_t transaction[12]) {
    if (!stun_agent_init_request(&self->agent, &self->written, self->written_bytes, CAPACITY, STUN_BINDING)) {
        return false;
    }
    memcpy(self->written_bytes + 8, transaction, 12);
    return true;
}

bool cnice_stun_begin_response(cnice_stun *self) {
    return stun_agent_init_response(&self->agent, &self->written, self->written_bytes, CAPACITY, &self->read);
}

bool cnice_stun_begin_error(cnice_stun *self, int code) {
    return stun_agent_init_error(
        &self->agent, &self->written, self->written_bytes, CAPACITY, &self->read, (StunError)code);
}

bool cnice_stun_add_bytes(cnice_stun *self, uint16_t type, const uint8_t *bytes, size_t length) {
    return stun_message_append_bytes(&self->written, (StunAttribute)type, bytes, length) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_add_32(cnice_stun *self, uint16_t type, uint32_t value) {
    return stun_message_append32(&self->written, (StunAttribute)type, value) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_add_64(cnice_stun *self, uint16_t type, uint64_t value) {
    return stun_message_append64(&self->written, (StunAttribute)type, value) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_add_flag(cnice_stun *self, uint16_t type) {
    return stun_message_append_flag(&self->written, (StunAttribute)type) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_add_xor_address(cnice_stun *self, uint16_t type, const cnice_address *address) {
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    socklen_t length;
    if (inet_pton(AF_INET, address->ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        length = sizeof *v4;
    } else if (inet_pton(AF_INET6, address->ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        length = sizeof *v6;
    } else {
        return false;
    }
    return stun_message_append_xor_addr(&self->written, (StunAttribute)type, &storage, length)
        == STUN_MESSAGE_RETURN_SUCCESS;
}

size_t cnice_stun_finish(cnice_stun *self, uint8_t *out, size_t capacity) {
    // For a response libnice takes the key of its request instead.
    size_t length = stun_agent_finish_message(
        &self->agent, &self->written, (const uint8_t *)self->peer_password, strlen(self->peer_password));
    if (length == 0 || length > capacity) return 0;
    memcpy(out, self->written_bytes, length);
    return length;
}

// MARK: Reading

cnice_validity cnice_stun_validate(cnice_stun *self, const uint8_t *bytes, size_t length) {
    if (length > CAPACITY) return CNICE_NOT_STUN;
    memcpy(self->read_bytes, bytes, length);
    StunDefaultValidaterData users[2] = {
        {(uint8_t *)self->username, strlen(self->username), (uint8_t *)self->password, strlen(self->password)},
        {NULL, 0, NULL, 0}};
    return (cnice_validity)stun_agent_validate(
        &self->agent, &self->read, self->read_bytes, length, stun_agent_default_validater, users);
}

int cnice_stun_class(const cnice_stun *self) { return (int)stun_message_get_class(&self->read); }

int cnice_stun_method(const cnice_stun *self) { return (int)stun_message_get_method(&self->read); }

void cnice_stun_transaction(const cnice_stun *self, uint8_t transaction[12]) {
    StunTransactionId id;
    stun_message_id(&self->read, id);
    memcpy(transaction, id + 4, 12);
}

bool cnice_stun_get_bytes(const cnice_stun *self, uint16_t type, uint8_t *bytes, size_t capacity, size_t *length) {
    uint16_t found = 0;
    const void *value = stun_message_find(&self->read, (StunAttribute)type, &found);
    if (!value || found > capacity) return false;
    memcpy(bytes, value, found);
    *length = found;
    return true;
}

bool cnice_stun_get_32(const cnice_stun *self, uint16_t type, uint32_t *value) {
    return stun_message_find32(&self->read, (StunAttribute)type, value) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_get_64(const cnice_stun *self, uint16_t type, uint64_t *value) {
    return stun_message_find64(&self->read, (StunAttribute)type, value) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_get_flag(const cnice_stun *self, uint16_t type) {
    return stun_message_find_flag(&self->read, (StunAttribute)type) == STUN_MESSAGE_RETURN_SUCCESS;
}

bool cnice_stun_get_xor_address(const cnice_stun *self, uint16_t type, cnice_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    memset(address, 0, sizeof *address);
    if (stun_message_find_xor_addr(&self->read, (StunAttribute)type, &storage, &length)
        != STUN_MESSAGE_RETURN_SUCCESS) {
        return false;
    }
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&storage;
        address->port = ntohs(v4->sin_port);
        return inet_ntop(AF_INET, &v4->sin_addr, address->ip, sizeof address->ip) != NULL;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&storage;
    address->port = ntohs(v6->sin6_port);
    return inet_ntop(AF_INET6, &v6->sin6_addr, address->ip, sizeof address->ip) != NULL;
}

bool cnice_stun_get_error(const cnice_stun *self, int *code) {
    return stun_message_find_error(&self->read, code) == STUN_MESSAGE_RETURN_SUCCESS;
}
