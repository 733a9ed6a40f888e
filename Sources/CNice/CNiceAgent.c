// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include <nice/agent.h>
#include <stdlib.h>
#include <string.h>

#include "CNice.h"

struct cnice_agent {
    GMainContext *context;
    NiceAgent *agent;
    guint stream;
};

static const guint component = NICE_COMPONENT_TYPE_RTP;

static void export_address(const NiceAddress *from, cnice_address *to) {
    memset(to, 0, sizeof *to);
    nice_address_to_string(from, to->ip);
    to->port = (uint16_t)nice_address_get_port(from);
}

cnice_agent *cnice_agent_new(bool controlling, const char *local_ip) {
    NiceAddress address;
    nice_address_init(&address);
    if (!nice_address_set_from_string(&address, local_ip)) return NULL;
    cnice_agent *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->context = g_main_context_new();
    NiceAgentOption options = NICE_AGENT_OPTION_REGULAR_NOMINATION | NICE_AGENT_OPTION_CONSENT_FRESHNESS;
    self->agent = nice_agent_new_full(self->context, NICE_COMPATIBILITY_RFC5245, options);
    g_object_set(self->agent, "controlling-mode", controlling, "upnp", FALSE, "ice-tcp", FALSE, NULL);
    nice_agent_add_local_address(self->agent, &address);
    self->stream = nice_agent_add_stream(self->agent, 1);
    cnice_candidate candidate;
    if (self->stream == 0 || !nice_agent_gather_candidates(self->agent, self->stream)
        || cnice_agent_candidates(self, &candidate, 1) == 0) {
        cnice_agent_free(self);
        return NULL;
    }
    return self;
}

void cnice_agent_free(cnice_agent *self) {
    if (!self) return;
    if (self->stream != 0) nice_agent_remove_stream(self->agent, self->stream);
    g_object_unref(self->agent);
    g_main_context_unref(self->context);
    free(self);
}

bool cnice_agent_credentials(cnice_agent *self, char *ufrag, char *pwd, size_t capacity) {
    gchar *our_ufrag = NULL, *our_pwd = NULL;
    if (!nice_agent_get_local_credentials(self->agent, self->stream, &our_ufrag, &our_pwd)) return false;
    bool fits = g_strlcpy(ufrag, our_ufrag, capacity) < capacity && g_strlcpy(pwd, our_pwd, capacity) < capacity;
    g_free(our_ufrag);
    g_free(our_pwd);
    return fits;
}

size_t cnice_agent_candidates(cnice_agent *self, cnice_candidate *candidates, size_t capacity) {
    GSList *list = nice_agent_get_local_candidates(self->agent, self->stream, component);
    size_t count = 0;
    for (GSList *item = list; item && count < capacity; item = item->next) {
        const NiceCandidate *from = item->data;
        if (from->transport != NICE_CANDIDATE_TRANSPORT_UDP) continue;
        cnice_candidate *to = &candidates[count++];
        export_address(&from->addr, &to->address);
        to->priority = from->priority;
        to->kind = (cnice_kind)from->type;
        g_strlcpy(to->foundation, from->foundation, sizeof to->foundation);
    }
    g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
    return count;
}

bool cnice_agent_set_remote(cnice_agent *self, const char *ufrag, const char *pwd) {
    return nice_agent_set_remote_credentials(self->agent, self->stream, ufrag, pwd);
}

bool cnice_agent_add_remote(cnice_agent *self, const cnice_candidate *from) {
    NiceCandidate *to = nice_candidate_new((NiceCandidateType)from->kind);
    to->transport = NICE_CANDIDATE_TRANSPORT_UDP;
    to->stream_id = self->stream;
    to->component_id = component;
    to->priority = from->priority;
    g_strlcpy(to->foundation, from->foundation, sizeof to->foundation);
    bool added = false;
    if (nice_address_set_from_string(&to->addr, from->address.ip)) {
        nice_address_set_port(&to->addr, from->address.port);
        GSList *list = g_slist_append(NULL, to);
        added = nice_agent_set_remote_candidates(self->agent, self->stream, component, list) == 1;
        g_slist_free(list);
    }
    nice_candidate_free(to);
    return added;
}

size_t cnice_agent_receive(cnice_agent *self, uint8_t *bytes, size_t capacity, cnice_address *from) {
    // Timers run in the context; sockets are read below, in a context of libnice's own.
    while (g_main_context_iteration(self->context, FALSE)) {}
    NiceAddress source;
    nice_address_init(&source);
    GInputVector vector = {bytes, capacity};
    NiceInputMessage message = {&vector, 1, &source, 0};
    gint count =
        nice_agent_recv_messages_nonblocking(self->agent, self->stream, component, &message, 1, NULL, NULL);
    if (count != 1) return 0;
    export_address(&source, from);
    return message.length;
}

bool cnice_agent_send(cnice_agent *self, const uint8_t *bytes, size_t length) {
    return nice_agent_send(self->agent, self->stream, component, (guint)length, (const gchar *)bytes) == (gint)length;
}

cnice_state cnice_agent_state(cnice_agent *self) {
    switch (nice_agent_get_component_state(self->agent, self->stream, component)) {
    case NICE_COMPONENT_STATE_CONNECTED: return CNICE_CONNECTED;
    case NICE_COMPONENT_STATE_READY: return CNICE_READY;
    case NICE_COMPONENT_STATE_FAILED: return CNICE_FAILED;
    default: return CNICE_CHECKING;
    }
}

bool cnice_agent_selected(cnice_agent *self, cnice_address *local, cnice_address *remote) {
    NiceCandidate *ours, *theirs;
    if (!nice_agent_get_selected_pair(self->agent, self->stream, component, &ours, &theirs)) return false;
    export_address(&ours->addr, local);
    export_address(&theirs->addr, remote);
    return true;
}
