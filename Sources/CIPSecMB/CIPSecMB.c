// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include "CIPSecMB.h"

#if defined(__x86_64__)

#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

enum { cm_tag_length = 10, gcm_tag_length = 16, hmac_key_length = 20, sha1_block = 64 };

struct jvbd_mb {
    IMB_MGR *manager;
    // The library writes 12 bytes of tag where SRTP has 10, so tags are made here and copied.
    uint8_t tags[jvbd_mb_slots][16];
    uint8_t completed[jvbd_mb_slots];
};

struct jvbd_mb_key {
    struct gcm_key_data gcm;
    uint8_t round_keys[16 * 15], decryption_keys[16 * 15];
    uint8_t inner[20], outer[20];
    int key_length;
} __attribute__((aligned(64)));

jvbd_mb *jvbd_mb_new(void) {
    jvbd_mb *mb = calloc(1, sizeof *mb);
    if (!mb) return NULL;
    mb->manager = alloc_mb_mgr(0);
    IMB_ARCH architecture = IMB_ARCH_NONE;
    const uint64_t wanted = IMB_CPUFLAGS_AVX2;
    if (mb->manager && (mb->manager->features & wanted) == wanted) init_mb_mgr_auto(mb->manager, &architecture);
    if (architecture < IMB_ARCH_AVX2) {
        jvbd_mb_free(mb);
        return NULL;
    }
    return mb;
}

void jvbd_mb_free(jvbd_mb *mb) {
    if (!mb) return;
    if (mb->manager) free_mb_mgr(mb->manager);
    free(mb);
}

static jvbd_mb_key *key_new(void) {
    jvbd_mb_key *key = aligned_alloc(64, sizeof *key);
    if (key) memset(key, 0, sizeof *key);
    return key;
}

jvbd_mb_key *jvbd_mb_key_new_gcm(jvbd_mb *mb, const uint8_t *bytes, size_t key_length) {
    jvbd_mb_key *key = key_length == 16 || key_length == 32 ? key_new() : NULL;
    if (!key) return NULL;
    key->key_length = (int)key_length;
    if (key_length == 16)
        IMB_AES128_GCM_PRE(mb->manager, bytes, &key->gcm);
    else
        IMB_AES256_GCM_PRE(mb->manager, bytes, &key->gcm);
    return key;
}

jvbd_mb_key *jvbd_mb_key_new_cm(jvbd_mb *mb, const uint8_t *bytes, const uint8_t *authentication_key) {
    jvbd_mb_key *key = key_new();
    if (!key) return NULL;
    uint8_t inner[sha1_block], outer[sha1_block];
    for (int i = 0; i < sha1_block; i++) {
        uint8_t byte = i < hmac_key_length ? authentication_key[i] : 0;
        inner[i] = byte ^ 0x36;
        outer[i] = byte ^ 0x5c;
    }
    key->key_length = 16;
    IMB_SHA1_ONE_BLOCK(mb->manager, inner, key->inner);
    IMB_SHA1_ONE_BLOCK(mb->manager, outer, key->outer);
    IMB_AES_KEYEXP_128(mb->manager, bytes, key->round_keys, key->decryption_keys);
    imb_clear_mem(inner, sizeof inner);
    imb_clear_mem(outer, sizeof outer);
    return key;
}

void jvbd_mb_key_free(jvbd_mb_key *key) {
    if (!key) return;
    imb_clear_mem(key, sizeof *key);
    free(key);
}

static int is_equal(const uint8_t *a, const uint8_t *b, int length) {
    volatile uint8_t difference = 0;
    for (int i = 0; i < length; i++) difference |= a[i] ^ b[i];
    return difference == 0;
}

void jvbd_mb_gcm_seal(jvbd_mb *mb, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *associated,
                      int associated_length, uint8_t *out, int patch_length, const uint8_t *payload,
                      int payload_length, uint8_t *tag) {
    IMB_MGR *m = mb->manager;
    struct gcm_context_data state;
    const uint64_t aad = (uint64_t)associated_length, patch = (uint64_t)patch_length;
    const uint64_t length = (uint64_t)payload_length, rest = length - patch;
    if (key->key_length == 16) {
        if (patch == 0) {
            IMB_AES128_GCM_ENC(m, &key->gcm, &state, out, payload, length, iv, associated, aad, tag, gcm_tag_length);
        } else {
            IMB_AES128_GCM_INIT(m, &key->gcm, &state, iv, associated, aad);
            IMB_AES128_GCM_ENC_UPDATE(m, &key->gcm, &state, out, out, patch);
            if (rest) IMB_AES128_GCM_ENC_UPDATE(m, &key->gcm, &state, out + patch, payload + patch, rest);
            IMB_AES128_GCM_ENC_FINALIZE(m, &key->gcm, &state, tag, gcm_tag_length);
        }
    } else if (patch == 0) {
        IMB_AES256_GCM_ENC(m, &key->gcm, &state, out, payload, length, iv, associated, aad, tag, gcm_tag_length);
    } else {
        IMB_AES256_GCM_INIT(m, &key->gcm, &state, iv, associated, aad);
        IMB_AES256_GCM_ENC_UPDATE(m, &key->gcm, &state, out, out, patch);
        if (rest) IMB_AES256_GCM_ENC_UPDATE(m, &key->gcm, &state, out + patch, payload + patch, rest);
        IMB_AES256_GCM_ENC_FINALIZE(m, &key->gcm, &state, tag, gcm_tag_length);
    }
}

int jvbd_mb_gcm_open(jvbd_mb *mb, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *associated,
                     int associated_length, const uint8_t *payload, int payload_length, uint8_t *out,
                     const uint8_t *tag) {
    struct gcm_context_data state;
    uint8_t computed[gcm_tag_length];
    const uint64_t aad = (uint64_t)associated_length, length = (uint64_t)payload_length;
    if (key->key_length == 16)
        IMB_AES128_GCM_DEC(mb->manager, &key->gcm, &state, out, payload, length, iv, associated, aad, computed,
                           gcm_tag_length);
    else
        IMB_AES256_GCM_DEC(mb->manager, &key->gcm, &state, out, payload, length, iv, associated, aad, computed,
                           gcm_tag_length);
    return is_equal(computed, tag, gcm_tag_length);
}

static void note(jvbd_mb *mb, const IMB_JOB *job) {
    if (job && job->status == IMB_STATUS_COMPLETED) mb->completed[(uintptr_t)job->user_data % jvbd_mb_slots] = 1;
}

// The hash reads the ciphertext where it comes out. The library has no pointer for that, but an offset from the cipher's
// source, and the sum wraps round like any address.
static void submit(jvbd_mb *mb, int slot, const jvbd_mb_key *key, const uint8_t *iv, int seals, uint8_t *packet,
                   int header_length, const uint8_t *source, int payload_length, uint32_t trailer) {
    const int length = header_length + payload_length;
    const uint8_t word[4] = {(uint8_t)(trailer >> 24), (uint8_t)(trailer >> 16), (uint8_t)(trailer >> 8),
                             (uint8_t)trailer};
    memcpy(packet + length, word, sizeof word);
    mb->completed[slot] = 0;
    IMB_JOB *job = IMB_GET_NEXT_JOB(mb->manager);
    job->cipher_mode = IMB_CIPHER_CNTR;
    job->hash_alg = IMB_AUTH_HMAC_SHA_1;
    job->chain_order = seals ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->cipher_direction = seals ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    job->enc_keys = key->round_keys;
    job->dec_keys = key->round_keys;
    job->key_len_in_bytes = 16;
    job->iv = iv;
    job->iv_len_in_bytes = 16;
    job->src = source;
    job->dst = packet + header_length;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = (uint64_t)payload_length;
    job->hash_start_src_offset_in_bytes = (uint64_t)((uintptr_t)packet - (uintptr_t)source);
    job->msg_len_to_hash_in_bytes = (uint64_t)length + sizeof word;
    job->auth_tag_output = mb->tags[slot];
    job->auth_tag_output_len_in_bytes = 12;
    job->u.HMAC._hashed_auth_key_xor_ipad = key->inner;
    job->u.HMAC._hashed_auth_key_xor_opad = key->outer;
    job->user_data = (void *)(uintptr_t)slot;
    note(mb, IMB_SUBMIT_JOB_NOCHECK(mb->manager));
}

void jvbd_mb_cm_seal(jvbd_mb *mb, int slot, const jvbd_mb_key *key, const uint8_t *iv, uint8_t *packet,
                     int header_length, int patch_length, const uint8_t *payload, int payload_length,
                     uint32_t trailer) {
    uint8_t *out = packet + header_length;
    if (patch_length != 0) {
        // One job has one source, so a patched payload is put together first.
        memcpy(out + patch_length, payload + patch_length, (size_t)(payload_length - patch_length));
        payload = out;
    }
    submit(mb, slot, key, iv, 1, packet, header_length, payload, payload_length, trailer);
}

void jvbd_mb_cm_open(jvbd_mb *mb, int slot, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *payload,
                     uint8_t *out, int header_length, int payload_length, uint32_t trailer) {
    // The four bytes behind the payload are hashed with it, and the received packet is only read.
    memcpy(out + header_length, payload, (size_t)payload_length);
    submit(mb, slot, key, iv, 0, out, header_length, out + header_length, payload_length, trailer);
}

void jvbd_mb_cm_flush(jvbd_mb *mb) {
    IMB_JOB *job;
    while ((job = IMB_FLUSH_JOB(mb->manager))) note(mb, job);
}

int jvbd_mb_cm_sealed(jvbd_mb *mb, int slot, uint8_t *tag) {
    if (!mb->completed[slot]) return 0;
    memcpy(tag, mb->tags[slot], cm_tag_length);
    return 1;
}

int jvbd_mb_cm_opened(jvbd_mb *mb, int slot, const uint8_t *tag) {
    return mb->completed[slot] && is_equal(mb->tags[slot], tag, cm_tag_length);
}

#else

jvbd_mb *jvbd_mb_new(void) { return NULL; }
void jvbd_mb_free(jvbd_mb *mb) { (void)mb; }
jvbd_mb_key *jvbd_mb_key_new_gcm(jvbd_mb *mb, const uint8_t *key, size_t key_length) {
    (void)mb, (void)key, (void)key_length;
    return NULL;
}
jvbd_mb_key *jvbd_mb_key_new_cm(jvbd_mb *mb, const uint8_t *key, const uint8_t *authentication_key) {
    (void)mb, (void)key, (void)authentication_key;
    return NULL;
}
void jvbd_mb_key_free(jvbd_mb_key *key) { (void)key; }
void jvbd_mb_gcm_seal(jvbd_mb *mb, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *associated,
                      int associated_length, uint8_t *out, int patch_length, const uint8_t *payload,
                      int payload_length, uint8_t *tag) {
    (void)mb, (void)key, (void)iv, (void)associated, (void)associated_length, (void)out, (void)patch_length;
    (void)payload, (void)payload_length, (void)tag;
}
int jvbd_mb_gcm_open(jvbd_mb *mb, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *associated,
                     int associated_length, const uint8_t *payload, int payload_length, uint8_t *out,
                     const uint8_t *tag) {
    (void)mb, (void)key, (void)iv, (void)associated, (void)associated_length, (void)payload, (void)payload_length;
    (void)out, (void)tag;
    return 0;
}
void jvbd_mb_cm_seal(jvbd_mb *mb, int slot, const jvbd_mb_key *key, const uint8_t *iv, uint8_t *packet,
                     int header_length, int patch_length, const uint8_t *payload, int payload_length,
                     uint32_t trailer) {
    (void)mb, (void)slot, (void)key, (void)iv, (void)packet, (void)header_length, (void)patch_length, (void)payload;
    (void)payload_length, (void)trailer;
}
void jvbd_mb_cm_open(jvbd_mb *mb, int slot, const jvbd_mb_key *key, const uint8_t *iv, const uint8_t *payload,
                     uint8_t *out, int header_length, int payload_length, uint32_t trailer) {
    (void)mb, (void)slot, (void)key, (void)iv, (void)payload, (void)out, (void)header_length, (void)payload_length;
    (void)trailer;
}
void jvbd_mb_cm_flush(jvbd_mb *mb) { (void)mb; }
int jvbd_mb_cm_sealed(jvbd_mb *mb, int slot, uint8_t *tag) {
    (void)mb, (void)slot, (void)tag;
    return 0;
}
int jvbd_mb_cm_opened(jvbd_mb *mb, int slot, const uint8_t *tag) {
    (void)mb, (void)slot, (void)tag;
    return 0;
}

#endif
