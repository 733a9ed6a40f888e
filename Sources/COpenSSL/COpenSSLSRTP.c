// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

// SHA1_* is deprecated in OpenSSL 3, and the only way to keep the two keyed blocks of HMAC as plain states: its
// replacement EVP_MAC costs 140 ns more per packet.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "COpenSSLSRTP.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

enum { cm_tag_length = 10, gcm_tag_length = 16, hmac_key_length = 20 };

struct jvbd_srtp_context {
    EVP_CIPHER_CTX *cipher;
    SHA_CTX inner, outer;
};

static int keystream(EVP_CIPHER_CTX *cipher, const uint8_t *key, size_t key_length, const uint8_t *counter,
                     uint8_t *out, size_t length) {
    int n;
    memset(out, 0, length);
    return EVP_EncryptInit_ex(cipher, key_length == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr(), NULL, key, counter) == 1
        && EVP_EncryptUpdate(cipher, out, &n, out, (int)length) == 1;
}

int jvbd_srtp_keystream(const uint8_t *key, size_t key_length, const uint8_t *counter, uint8_t *out, size_t length) {
    if ((key_length != 16 && key_length != 32) || length > 1 << 20) return 0;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (!cipher) return 0;
    int ok = keystream(cipher, key, key_length, counter, out, length);
    EVP_CIPHER_CTX_free(cipher);
    if (!ok) ERR_clear_error();
    return ok;
}

static jvbd_srtp_context *context_new(const EVP_CIPHER *kind, const uint8_t *key, int seals) {
    jvbd_srtp_context *context = OPENSSL_zalloc(sizeof *context);
    if (!context) return NULL;
    context->cipher = EVP_CIPHER_CTX_new();
    if (!context->cipher || EVP_CipherInit_ex(context->cipher, kind, NULL, key, NULL, seals) != 1) {
        jvbd_srtp_context_free(context);
        ERR_clear_error();
        return NULL;
    }
    return context;
}

jvbd_srtp_context *jvbd_srtp_context_new_cm(const uint8_t *key, const uint8_t *authentication_key) {
    jvbd_srtp_context *context = context_new(EVP_aes_128_ctr(), key, 1);
    if (!context) return NULL;
    uint8_t inner[SHA_CBLOCK], outer[SHA_CBLOCK];
    for (int i = 0; i < SHA_CBLOCK; i++) {
        uint8_t byte = i < hmac_key_length ? authentication_key[i] : 0;
        inner[i] = byte ^ 0x36;
        outer[i] = byte ^ 0x5c;
    }
    SHA1_Init(&context->inner);
    SHA1_Update(&context->inner, inner, sizeof inner);
    SHA1_Init(&context->outer);
    SHA1_Update(&context->outer, outer, sizeof outer);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(outer, sizeof outer);
    return context;
}

jvbd_srtp_context *jvbd_srtp_context_new_gcm(const uint8_t *key, size_t key_length, int seals) {
    if (key_length != 16 && key_length != 32) return NULL;
    return context_new(key_length == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm(), key, seals);
}

void jvbd_srtp_context_free(jvbd_srtp_context *context) {
    if (!context) return;
    EVP_CIPHER_CTX_free(context->cipher);
    OPENSSL_clear_free(context, sizeof *context);
}

void jvbd_srtp_cleanse(void *memory, size_t length) { OPENSSL_cleanse(memory, length); }

static void hmac(const jvbd_srtp_context *context, const uint8_t *message, size_t length, uint32_t trailer,
                 uint8_t digest[SHA_DIGEST_LENGTH]) {
    uint8_t word[4] = {(uint8_t)(trailer >> 24), (uint8_t)(trailer >> 16), (uint8_t)(trailer >> 8), (uint8_t)trailer};
    SHA_CTX state = context->inner;
    SHA1_Update(&state, message, length);
    SHA1_Update(&state, word, sizeof word);
    SHA1_Final(digest, &state);
    state = context->outer;
    SHA1_Update(&state, digest, SHA_DIGEST_LENGTH);
    SHA1_Final(digest, &state);
}

// An error left in libcrypto's queue would be taken for its own by the next SSL call of this thread.
static int failed(void) {
    ERR_clear_error();
    return 0;
}

static int update(EVP_CIPHER_CTX *cipher, uint8_t *out, const uint8_t *in, int length) {
    int n;
    return length == 0 || EVP_CipherUpdate(cipher, out, &n, in, length) == 1;
}

int jvbd_srtp_cm_seal(jvbd_srtp_context *context, const uint8_t *iv, uint8_t *packet, int header_length,
                      int patch_length, const uint8_t *payload, int payload_length, uint32_t trailer, uint8_t *tag) {
    EVP_CIPHER_CTX *cipher = context->cipher;
    uint8_t digest[SHA_DIGEST_LENGTH];
    uint8_t *out = packet + header_length;
    if (EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, -1) != 1 || !update(cipher, out, out, patch_length)
        || !update(cipher, out + patch_length, payload + patch_length, payload_length - patch_length))
        return failed();
    hmac(context, packet, (size_t)(header_length + payload_length), trailer, digest);
    memcpy(tag, digest, cm_tag_length);
    return 1;
}

int jvbd_srtp_cm_open(jvbd_srtp_context *context, const uint8_t *iv, const uint8_t *packet, int header_length,
                      int payload_length, uint8_t *out, uint32_t trailer, const uint8_t *tag) {
    EVP_CIPHER_CTX *cipher = context->cipher;
    uint8_t digest[SHA_DIGEST_LENGTH];
    hmac(context, packet, (size_t)(header_length + payload_length), trailer, digest);
    if (CRYPTO_memcmp(digest, tag, cm_tag_length) != 0) return 0;
    if (EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, -1) != 1
        || !update(cipher, out, packet + header_length, payload_length))
        return failed();
    return 1;
}

int jvbd_srtp_gcm_seal(jvbd_srtp_context *context, const uint8_t *iv, const uint8_t *associated,
                       int associated_length, uint8_t *out, int patch_length, const uint8_t *payload,
                       int payload_length, uint8_t *tag) {
    EVP_CIPHER_CTX *cipher = context->cipher;
    int n;
    if (EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, -1) != 1 || !update(cipher, NULL, associated, associated_length)
        || !update(cipher, out, out, patch_length)
        || !update(cipher, out + patch_length, payload + patch_length, payload_length - patch_length)
        || EVP_CipherFinal_ex(cipher, out + payload_length, &n) != 1
        || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, gcm_tag_length, tag) != 1)
        return failed();
    return 1;
}

int jvbd_srtp_gcm_open(jvbd_srtp_context *context, const uint8_t *iv, const uint8_t *associated,
                       int associated_length, const uint8_t *payload, int payload_length, uint8_t *out,
                       const uint8_t *tag) {
    EVP_CIPHER_CTX *cipher = context->cipher;
    uint8_t expected[gcm_tag_length];
    int n;
    memcpy(expected, tag, sizeof expected);
    if (EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, -1) != 1
        || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, gcm_tag_length, expected) != 1
        || !update(cipher, NULL, associated, associated_length) || !update(cipher, out, payload, payload_length)
        || EVP_CipherFinal_ex(cipher, out + payload_length, &n) != 1)
        return failed();
    return 1;
}
