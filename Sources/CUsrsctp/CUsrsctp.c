// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
#include "CUsrsctp.h"

#include <stdlib.h>
#include <string.h>
#include <usrsctp.h>

static cusrsctp_callbacks callbacks;

static int send_packet(void *address, void *bytes, size_t count, uint8_t tos, uint8_t set_df) {
    (void)tos;
    (void)set_df;
    callbacks.packet((uintptr_t)address, bytes, count);
    return 0;
}

static void notify(uint64_t serial, const union sctp_notification *n, size_t size) {
    if (size < sizeof n->sn_header || n->sn_header.sn_length != size) return;
    if (n->sn_header.sn_type == SCTP_ASSOC_CHANGE && size >= sizeof n->sn_assoc_change) {
        switch (n->sn_assoc_change.sac_state) {
            case SCTP_COMM_UP: callbacks.changed(serial, CUSRSCTP_UP); break;
            case SCTP_RESTART: callbacks.changed(serial, CUSRSCTP_RESTARTED); break;
            default: callbacks.changed(serial, CUSRSCTP_DOWN);
        }
    } else if (n->sn_header.sn_type == SCTP_STREAM_RESET_EVENT && size >= sizeof n->sn_strreset_event) {
        const struct sctp_stream_reset_event *event = &n->sn_strreset_event;
        bool refused = event->strreset_flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED);
        if (event->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN && !refused)
            callbacks.reset(serial, event->strreset_stream_list, (size - sizeof *event) / sizeof(uint16_t));
    }
}

static int receive_message(struct socket *socket, union sctp_sockstore from, void *bytes, size_t count,
                           struct sctp_rcvinfo info, int flags, void *serial) {
    (void)socket;
    (void)from;
    if (!bytes) return 1;  // end of stream; the notification of the shutdown says the same
    if (flags & MSG_NOTIFICATION)
        notify((uintptr_t)serial, bytes, count);
    else
        callbacks.message((uintptr_t)serial, info.rcv_sid, ntohl(info.rcv_ppid), bytes, count, flags & MSG_EOR);
    free(bytes);
    return 1;
}

void cusrsctp_start(const cusrsctp_callbacks *given) {
    callbacks = *given;
    usrsctp_init_nothreads(0, send_packet, NULL);
    usrsctp_sysctl_set_sctp_blackhole(2);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_nrsack_enable(0);
    usrsctp_sysctl_set_sctp_pktdrop_enable(0);
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(4096);
    // Jitsi's bridge backs off to 3 s at most and never gives up: whether the peer is there is for ICE to say.
    usrsctp_sysctl_set_sctp_rto_initial_default(500);
    usrsctp_sysctl_set_sctp_rto_min_default(400);
    usrsctp_sysctl_set_sctp_rto_max_default(3000);
    usrsctp_sysctl_set_sctp_init_rto_max_default(3000);
    usrsctp_sysctl_set_sctp_init_rtx_max_default(UINT16_MAX);
    usrsctp_sysctl_set_sctp_assoc_rtx_max_default(UINT16_MAX);
    usrsctp_sysctl_set_sctp_path_rtx_max_default(UINT16_MAX);
}

void cusrsctp_register(uint64_t address) { usrsctp_register_address((void *)(uintptr_t)address); }

static bool set(struct socket *socket, int level, int option, const void *value, socklen_t size) {
    return usrsctp_setsockopt(socket, level, option, value, size) == 0;
}

static bool configure(struct socket *socket) {
    const int on = 1, size = CUSRSCTP_BUFFER_SIZE;
    const struct linger abort_on_close = { .l_onoff = 1, .l_linger = 0 };
    const struct sctp_initmsg streams = { .sinit_num_ostreams = CUSRSCTP_STREAMS,
                                          .sinit_max_instreams = CUSRSCTP_STREAMS };
    const struct sctp_assoc_value resets = { .assoc_id = SCTP_ALL_ASSOC, .assoc_value = SCTP_ENABLE_RESET_STREAM_REQ };
    const struct sctp_paddrparams path = { .spp_address.ss_family = AF_CONN,
                                           .spp_flags = SPP_HB_ENABLE | SPP_PMTUD_DISABLE,
                                           .spp_hbinterval = 30000,
                                           // usrsctp adds the 12 bytes of the common header
                                           .spp_pathmtu = CUSRSCTP_PACKET_SIZE - 12 };
    const uint16_t events[] = { SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        const struct sctp_event event = { .se_assoc_id = SCTP_ALL_ASSOC, .se_type = events[i], .se_on = 1 };
        if (!set(socket, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof event)) return false;
    }
    return usrsctp_set_non_blocking(socket, 1) == 0 &&
           set(socket, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close) &&
           set(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) &&
           set(socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) &&
           set(socket, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof on) &&
           set(socket, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof streams) &&
           set(socket, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &resets, sizeof resets) &&
           set(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof path);
}

static struct sockaddr_conn end(uint64_t address) {
    return (struct sockaddr_conn){ .sconn_family = AF_CONN,
                                   .sconn_port = htons(CUSRSCTP_PORT),
                                   .sconn_addr = (void *)(uintptr_t)address };
}

static struct socket *open_bound(uint64_t address, uint64_t serial) {
    struct socket *socket =
        usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, receive_message, NULL, 0, (void *)(uintptr_t)serial);
    if (!socket) return NULL;
    struct sockaddr_conn local = end(address);
    if (configure(socket) && usrsctp_bind(socket, (struct sockaddr *)&local, sizeof local) == 0) return socket;
    usrsctp_close(socket);
    return NULL;
}

cusrsctp_socket *cusrsctp_listen(uint64_t address, uint64_t serial) {
    struct socket *socket = open_bound(address, serial);
    if (!socket || usrsctp_listen(socket, 1) == 0) return socket;
    usrsctp_close(socket);
    return NULL;
}

cusrsctp_socket *cusrsctp_accept(cusrsctp_socket *listening) { return usrsctp_accept(listening, NULL, NULL); }

cusrsctp_socket *cusrsctp_connect(uint64_t address, uint64_t serial) {
    struct socket *socket = open_bound(address, serial);
    if (!socket) return NULL;
    struct sockaddr_conn remote = end(address);
    if (usrsctp_connect(socket, (struct sockaddr *)&remote, sizeof remote) == 0 || errno == EINPROGRESS) return socket;
    usrsctp_close(socket);
    return NULL;
}

int cusrsctp_send(cusrsctp_socket *socket, uint16_t stream, uint32_t payload, const uint8_t *bytes, size_t count) {
    struct sctp_sndinfo info = { .snd_sid = stream, .snd_ppid = htonl(payload) };
    ssize_t sent = usrsctp_sendv(socket, bytes, count, NULL, 0, &info, sizeof info, SCTP_SENDV_SNDINFO, 0);
    return sent < 0 ? -errno : 0;
}

int cusrsctp_reset_stream(cusrsctp_socket *socket, uint16_t stream) {
    union {
        struct sctp_reset_streams request;
        uint8_t bytes[sizeof(struct sctp_reset_streams) + sizeof(uint16_t)];
    } reset;
    memset(&reset, 0, sizeof reset);
    reset.request.srs_flags = SCTP_STREAM_RESET_OUTGOING;
    reset.request.srs_number_streams = 1;
    reset.request.srs_stream_list[0] = stream;
    return set(socket, IPPROTO_SCTP, SCTP_RESET_STREAMS, &reset, sizeof reset.bytes) ? 0 : -errno;
}

void cusrsctp_close(cusrsctp_socket *socket) { usrsctp_close(socket); }

void cusrsctp_receive(uint64_t address, const uint8_t *bytes, size_t count) {
    usrsctp_conninput((void *)(uintptr_t)address, bytes, count, 0);
}

void cusrsctp_advance(uint32_t milliseconds) { usrsctp_handle_timers(milliseconds); }
