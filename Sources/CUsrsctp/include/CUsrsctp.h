// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
//
// usrsctp as one state machine without sockets or timers of its own: packets, messages and time go in, callbacks come
// out. All functions are to be called from one thread; the callbacks come on that thread, from inside these functions,
// and must not call back. An association is known by two integers: the address that its packets carry (never 0), and a
// serial number that its messages and notifications carry. Functions that can fail return -errno or NULL.
#ifndef CUSRSCTP_H
#define CUSRSCTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    // Port of data channels over DTLS, both sides (the value that peers assume when none is signalled).
    CUSRSCTP_PORT = 5000,
    // Bytes that may wait in each direction; also the longest message.
    CUSRSCTP_BUFFER_SIZE = 262144,
    // Largest SCTP packet: what fits in a 1200-byte DTLS datagram with the longest record overhead.
    CUSRSCTP_PACKET_SIZE = 1140,
    // Streams of an association in each direction. The peer needs one.
    CUSRSCTP_STREAMS = 64,
};

typedef enum { CUSRSCTP_UP, CUSRSCTP_RESTARTED, CUSRSCTP_DOWN } cusrsctp_change;

typedef struct {
    void (*packet)(uint64_t address, const uint8_t *bytes, size_t count);
    // A user message, or the next part of one; is_last ends it.
    void (*message)(uint64_t serial, uint16_t stream, uint32_t payload, const uint8_t *bytes, size_t count,
                    bool is_last);
    void (*changed)(uint64_t serial, cusrsctp_change change);
    // The peer has reset these outgoing streams of its; a count of 0 means all.
    void (*reset)(uint64_t serial, const uint16_t *streams, size_t count);
} cusrsctp_callbacks;

// A socket of usrsctp: listening for, or holding, one association.
typedef struct socket cusrsctp_socket;

void cusrsctp_start(const cusrsctp_callbacks *callbacks);
// Packets of `address` are known from now on. An address is registered once and can serve many associations in turn.
void cusrsctp_register(uint64_t address);
cusrsctp_socket *cusrsctp_listen(uint64_t address, uint64_t serial);
// NULL when no association has come up yet.
cusrsctp_socket *cusrsctp_accept(cusrsctp_socket *listening);
cusrsctp_socket *cusrsctp_connect(uint64_t address, uint64_t serial);
// Reliable and in order. -EAGAIN when the buffer is full.
int cusrsctp_send(cusrsctp_socket *socket, uint16_t stream, uint32_t payload, const uint8_t *bytes, size_t count);
int cusrsctp_reset_stream(cusrsctp_socket *socket, uint16_t stream);
// Aborts the association, if there is one.
void cusrsctp_close(cusrsctp_socket *socket);
void cusrsctp_receive(uint64_t address, const uint8_t *bytes, size_t count);
void cusrsctp_advance(uint32_t milliseconds);

#endif
