// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot see of Linux: batches of datagrams with control messages, segmentation offload, thread placement.
// Every function that can fail returns -errno. Addresses are host-order integers, so that no sockaddr reaches Swift.
#ifndef CLINUX_H
#define CLINUX_H

#include <stdbool.h>
#include <stdint.h>

// Both ends of a datagram. IPv6 as two 64-bit halves; IPv4 in the low 32 bits of `_low`, also when the kernel said
// IPv4-mapped IPv6. A local address of zero means "let the kernel choose".
typedef struct {
    uint64_t local_high, local_low;
    uint64_t remote_high, remote_low;
    uint16_t remote_port;
    bool is_ipv6;
} clinux_path;

// A received message: one datagram, or a run that the kernel coalesced (UDP_GRO): datagrams of segment_size bytes of
// which only the last may be shorter. segment_size is 0 for a single datagram.
typedef struct {
    const uint8_t *bytes;
    uint32_t count;
    uint16_t segment_size;
    bool is_truncated;
    clinux_path path;
} clinux_message;

// UDP sockets, non-blocking, with PKTINFO, SO_RXQ_OVFL and (where the kernel has it) UDP_GRO on.
int clinux_udp_socket(bool ipv6);
int clinux_bind_any(int fd, bool ipv6, uint16_t port);
int clinux_share_port(int fd);
int clinux_local_port(int fd);
// Asks for a buffer of `wanted` bytes, past the limit of the system where privilege allows; returns what was granted.
int64_t clinux_set_buffer(int fd, bool receive, uint32_t wanted);

typedef struct clinux_receive_batch clinux_receive_batch;
clinux_receive_batch *clinux_receive_batch_create(uint32_t capacity);
void clinux_receive_batch_destroy(clinux_receive_batch *batch);
// Number of messages received (0: none waiting). Messages are valid until the next call.
int clinux_receive(clinux_receive_batch *batch, int fd);
const clinux_message *clinux_receive_messages(const clinux_receive_batch *batch);
// The socket's running count of datagrams dropped by the kernel, as the newest message told it.
uint32_t clinux_receive_drops(const clinux_receive_batch *batch);

typedef struct clinux_send_batch clinux_send_batch;
clinux_send_batch *clinux_send_batch_create(uint32_t capacity);
void clinux_send_batch_destroy(clinux_send_batch *batch);
// Sets entry `index`. False when the socket's family cannot carry the path.
bool clinux_send_set(clinux_send_batch *batch, uint32_t index, bool ipv6_socket, const uint8_t *bytes, uint32_t count,
                     uint16_t segment_size, const clinux_path *path);
// Sends entries first..<first+count; returns how many were accepted, or -errno when not even the first.
int clinux_send(clinux_send_batch *batch, int fd, uint32_t first, uint32_t count);

// Waits until one of at most 32 descriptors is readable; bit i of the result is descriptor i. 0: time is up, or a
// signal came. A negative time waits for ever.
uint32_t clinux_wait_readable(const int *fds, uint32_t count, int64_t nanoseconds);
bool clinux_wait_writable(int fd, int64_t nanoseconds);

int clinux_eventfd(void);
void clinux_eventfd_ring(int fd);
void clinux_eventfd_clear(int fd);

// An address of an interface that is up; IPv6 and IPv4 as in clinux_path.
typedef struct {
    char interface[16];
    uint64_t high, low;
    bool is_ipv6;
} clinux_local_address;

// Returns how many addresses there are, of which at most `capacity` are written.
int clinux_local_addresses(clinux_local_address *addresses, uint32_t capacity);
// Resolves a host name or literal to its first IPv4 address. Blocks. False when there is none.
bool clinux_resolve_ipv4(const char *host, uint32_t *address);

// Processors this process may run on; returns how many, of which at most `capacity` are written.
int clinux_affinity(uint32_t *processors, uint32_t capacity);
int clinux_pin_thread(uint32_t processor);
void clinux_name_thread(const char *name);
// Signals are the main thread's business.
void clinux_block_signals(void);

#endif
