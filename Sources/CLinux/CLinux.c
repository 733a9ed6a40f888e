// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int clinux_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

void clinux_eventfd_ring(int fd) {
    // Fails only when the counter is full, which means that the reader is already going to wake.
    if (eventfd_write(fd, 1)) return;
}

void clinux_eventfd_clear(int fd) {
    eventfd_t rings;
    if (eventfd_read(fd, &rings)) return;
}

static struct timespec span(int64_t nanoseconds) {
    return (struct timespec){ .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000 };
}

uint32_t clinux_wait_readable(const int *fds, uint32_t count, int64_t nanoseconds) {
    struct pollfd polled[32];
    if (count > 32) count = 32;
    for (uint32_t i = 0; i < count; i++) polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    struct timespec limit = span(nanoseconds);
    if (ppoll(polled, count, nanoseconds < 0 ? NULL : &limit, NULL) <= 0) return 0;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < count; i++)
        if (polled[i].revents) ready |= 1u << i;
    return ready;
}

bool clinux_wait_writable(int fd, int64_t nanoseconds) {
    struct pollfd polled = { .fd = fd, .events = POLLOUT };
    struct timespec limit = span(nanoseconds);
    return ppoll(&polled, 1, &limit, NULL) > 0;
}

int clinux_affinity(uint32_t *processors, uint32_t capacity) {
    // The kernel refuses a set smaller than its own, whose size it does not tell.
    for (int possible = 1024; possible <= 65536; possible *= 4) {
        cpu_set_t *set = CPU_ALLOC(possible);
        if (!set) return -ENOMEM;
        size_t size = CPU_ALLOC_SIZE(possible);
        if (sched_getaffinity(0, size, set) == 0) {
            uint32_t found = 0;
            for (int i = 0; i < possible; i++)
                if (CPU_ISSET_S(i, size, set)) {
                    if (found < capacity) processors[found] = (uint32_t)i;
                    found++;
                }
            CPU_FREE(set);
            return (int)found;
        }
        CPU_FREE(set);
        if (errno != EINVAL) break;
    }
    return -errno;
}

int clinux_pin_thread(uint32_t processor) {
    cpu_set_t *set = CPU_ALLOC(processor + 1);
    if (!set) return -ENOMEM;
    size_t size = CPU_ALLOC_SIZE(processor + 1);
    CPU_ZERO_S(size, set);
    CPU_SET_S(processor, size, set);
    int result = pthread_setaffinity_np(pthread_self(), size, set);
    CPU_FREE(set);
    return -result;
}

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

void clinux_block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}
