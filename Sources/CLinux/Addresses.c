// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

static uint64_t load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

int clinux_local_addresses(clinux_local_address *addresses, uint32_t capacity) {
    struct ifaddrs *list;
    uint32_t found = 0;
    if (getifaddrs(&list)) return -errno;
    for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP)) continue;
        clinux_local_address address;
        memset(&address, 0, sizeof address);
        if (entry->ifa_addr->sa_family == AF_INET) {
            struct sockaddr_in v4;
            memcpy(&v4, entry->ifa_addr, sizeof v4);
            address.low = ntohl(v4.sin_addr.s_addr);
        } else if (entry->ifa_addr->sa_family == AF_INET6) {
            struct sockaddr_in6 v6;
            memcpy(&v6, entry->ifa_addr, sizeof v6);
            address.is_ipv6 = true;
            address.high = load64(v6.sin6_addr.s6_addr);
            address.low = load64(v6.sin6_addr.s6_addr + 8);
        } else {
            continue;
        }
        strncpy(address.interface, entry->ifa_name, sizeof address.interface - 1);
        if (found < capacity) addresses[found] = address;
        found++;
    }
    freeifaddrs(list);
    return (int)found;
}

bool clinux_resolve_ipv4(const char *host, uint32_t *address) {
    const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM };
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) || !list) return false;
    struct sockaddr_in v4;
    memcpy(&v4, list->ai_addr, sizeof v4);
    freeaddrinfo(list);
    *address = ntohl(v4.sin_addr.s_addr);
    return true;
}
