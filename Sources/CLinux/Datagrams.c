// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// In linux/udp.h since 4.18 and 5.0; older C libraries do not have them.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// A coalesced message is at most 65535 bytes. The odd stride keeps the heads of the buffers out of one another's cache
// sets.
enum { MESSAGE_SIZE = 65536, MESSAGE_STRIDE = MESSAGE_SIZE + 1344 };

typedef union {
    struct cmsghdr alignment;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
               2 * CMSG_SPACE(sizeof(int))];
} control_buffer;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

struct clinux_receive_batch {
    uint32_t capacity, drops;
    struct mmsghdr *headers;
    struct iovec *vectors;
    socket_address *addresses;
    control_buffer *controls;
    clinux_message *messages;
    uint8_t *bytes;
};

struct clinux_send_batch {
    uint32_t capacity;
    struct mmsghdr *headers;
    struct iovec *vectors;
    socket_address *addresses;
    control_buffer *controls;
};

// MARK: addresses

static uint64_t load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static void store64(uint8_t *p, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

// Returns whether the address is IPv6 proper; an IPv4-mapped one is stored as IPv4.
static bool load_ipv6(const struct in6_addr *a, uint64_t *high, uint64_t *low) {
    *high = load64(a->s6_addr);
    *low = load64(a->s6_addr + 8);
    if (*high != 0 || *low >> 32 != 0xffff) return true;
    *low &= 0xffffffff;
    return false;
}

static void store_ipv6(struct in6_addr *a, bool is_ipv6, uint64_t high, uint64_t low) {
    store64(a->s6_addr, is_ipv6 ? high : 0);
    store64(a->s6_addr + 8, is_ipv6 ? low : low | 0xffff00000000);
}

// MARK: sockets

int clinux_udp_socket(bool ipv6) {
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0;
    if (fd < 0) return -errno;
    int failed = ipv6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) ||
                            setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on)
                      : setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (failed) {
        int error = errno;
        close(fd);
        return -error;
    }
    // Both only help: without them drops are not counted and runs arrive as single datagrams.
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    return fd;
}

int clinux_bind_any(int fd, bool ipv6, uint16_t port) {
    socket_address address;
    memset(&address, 0, sizeof address);
    if (ipv6) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
    } else {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
    }
    return bind(fd, &address.any, ipv6 ? sizeof address.v6 : sizeof address.v4) ? -errno : 0;
}

int clinux_share_port(int fd) {
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ? -errno : 0;
}

int clinux_local_port(int fd) {
    socket_address address;
    socklen_t length = sizeof address;
    if (getsockname(fd, &address.any, &length)) return -errno;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int64_t clinux_set_buffer(int fd, bool receive, uint32_t wanted) {
    int size = (int)wanted, granted = 0;
    socklen_t length = sizeof granted;
    if (setsockopt(fd, SOL_SOCKET, receive ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, receive ? SO_RCVBUF : SO_SNDBUF, &size, sizeof size);
    if (getsockopt(fd, SOL_SOCKET, receive ? SO_RCVBUF : SO_SNDBUF, &granted, &length)) return -errno;
    // The kernel doubles the wish for its own bookkeeping and tells the doubled value.
    return granted / 2;
}

// MARK: receiving

clinux_receive_batch *clinux_receive_batch_create(uint32_t capacity) {
    clinux_receive_batch *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->capacity = capacity;
    b->headers = calloc(capacity, sizeof *b->headers);
    b->vectors = calloc(capacity, sizeof *b->vectors);
    b->addresses = calloc(capacity, sizeof *b->addresses);
    b->controls = calloc(capacity, sizeof *b->controls);
    b->messages = calloc(capacity, sizeof *b->messages);
    b->bytes = aligned_alloc(64, (size_t)capacity * MESSAGE_STRIDE);
    if (!b->headers || !b->vectors || !b->addresses || !b->controls || !b->messages || !b->bytes) {
        clinux_receive_batch_destroy(b);
        return NULL;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        b->vectors[i] = (struct iovec){ b->bytes + (size_t)i * MESSAGE_STRIDE, MESSAGE_SIZE };
        b->headers[i].msg_hdr.msg_iov = &b->vectors[i];
        b->headers[i].msg_hdr.msg_iovlen = 1;
        b->headers[i].msg_hdr.msg_name = &b->addresses[i];
        b->headers[i].msg_hdr.msg_control = &b->controls[i];
    }
    return b;
}

void clinux_receive_batch_destroy(clinux_receive_batch *b) {
    if (!b) return;
    free(b->headers);
    free(b->vectors);
    free(b->addresses);
    free(b->controls);
    free(b->messages);
    free(b->bytes);
    free(b);
}

static void read_controls(clinux_receive_batch *b, struct msghdr *header, clinux_message *message) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            load_ipv6(&info.ipi6_addr, &message->path.local_high, &message->path.local_low);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            message->path.local_low = ntohl(info.ipi_addr.s_addr);
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            message->segment_size = (uint16_t)size;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&b->drops, CMSG_DATA(c), sizeof b->drops);
        }
    }
}

int clinux_receive(clinux_receive_batch *b, int fd) {
    for (uint32_t i = 0; i < b->capacity; i++) {
        b->headers[i].msg_hdr.msg_namelen = sizeof b->addresses[i];
        b->headers[i].msg_hdr.msg_controllen = sizeof b->controls[i];
    }
    int received = recvmmsg(fd, b->headers, b->capacity, MSG_DONTWAIT, NULL);
    if (received < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (int i = 0; i < received; i++) {
        clinux_message *message = &b->messages[i];
        struct msghdr *header = &b->headers[i].msg_hdr;
        const socket_address *from = &b->addresses[i];
        memset(message, 0, sizeof *message);
        message->bytes = b->vectors[i].iov_base;
        message->count = b->headers[i].msg_len;
        message->is_truncated = header->msg_flags & MSG_TRUNC;
        if (from->any.sa_family == AF_INET6) {
            message->path.is_ipv6 =
                load_ipv6(&from->v6.sin6_addr, &message->path.remote_high, &message->path.remote_low);
            message->path.remote_port = ntohs(from->v6.sin6_port);
        } else {
            message->path.remote_low = ntohl(from->v4.sin_addr.s_addr);
            message->path.remote_port = ntohs(from->v4.sin_port);
        }
        read_controls(b, header, message);
    }
    return received;
}

const clinux_message *clinux_receive_messages(const clinux_receive_batch *b) { return b->messages; }

uint32_t clinux_receive_drops(const clinux_receive_batch *b) { return b->drops; }

// MARK: sending

clinux_send_batch *clinux_send_batch_create(uint32_t capacity) {
    clinux_send_batch *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->capacity = capacity;
    b->headers = calloc(capacity, sizeof *b->headers);
    b->vectors = calloc(capacity, sizeof *b->vectors);
    b->addresses = calloc(capacity, sizeof *b->addresses);
    b->controls = calloc(capacity, sizeof *b->controls);
    if (!b->headers || !b->vectors || !b->addresses || !b->controls) {
        clinux_send_batch_destroy(b);
        return NULL;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        b->headers[i].msg_hdr.msg_iov = &b->vectors[i];
        b->headers[i].msg_hdr.msg_iovlen = 1;
        b->headers[i].msg_hdr.msg_name = &b->addresses[i];
    }
    return b;
}

void clinux_send_batch_destroy(clinux_send_batch *b) {
    if (!b) return;
    free(b->headers);
    free(b->vectors);
    free(b->addresses);
    free(b->controls);
    free(b);
}

static char *append_control(char *at, int level, int type, const void *value, size_t size) {
    struct cmsghdr *header = (struct cmsghdr *)at;
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), value, size);
    return at + CMSG_SPACE(size);
}

bool clinux_send_set(clinux_send_batch *b, uint32_t index, bool ipv6_socket, const uint8_t *bytes, uint32_t count,
                     uint16_t segment_size, const clinux_path *path) {
    if (index >= b->capacity || (path->is_ipv6 && !ipv6_socket)) return false;
    struct msghdr *header = &b->headers[index].msg_hdr;
    socket_address *to = &b->addresses[index];
    char *start = b->controls[index].bytes, *end = start;
    bool has_local = path->local_high | path->local_low;
    memset(to, 0, sizeof *to);
    if (ipv6_socket) {
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = htons(path->remote_port);
        store_ipv6(&to->v6.sin6_addr, path->is_ipv6, path->remote_high, path->remote_low);
        header->msg_namelen = sizeof to->v6;
        if (has_local) {
            struct in6_pktinfo info = { .ipi6_ifindex = 0 };
            store_ipv6(&info.ipi6_addr, path->is_ipv6, path->local_high, path->local_low);
            end = append_control(end, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
        }
    } else {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(path->remote_port);
        to->v4.sin_addr.s_addr = htonl((uint32_t)path->remote_low);
        header->msg_namelen = sizeof to->v4;
        if (has_local) {
            struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl((uint32_t)path->local_low) };
            end = append_control(end, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
        }
    }
    if (segment_size && segment_size < count)
        end = append_control(end, IPPROTO_UDP, UDP_SEGMENT, &segment_size, sizeof segment_size);
    header->msg_control = end > start ? start : NULL;
    header->msg_controllen = (size_t)(end - start);
    b->vectors[index] = (struct iovec){ (void *)bytes, count };
    return true;
}

int clinux_send(clinux_send_batch *b, int fd, uint32_t first, uint32_t count) {
    if (first >= b->capacity || count > b->capacity - first) return -EINVAL;
    int sent = sendmmsg(fd, b->headers + first, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}
