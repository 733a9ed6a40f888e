// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include "DTLSClient.h"

#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MTU = 1200 };

struct dtls_client {
    SSL_CTX *context;
    SSL *ssl;
    X509 *certificate;
    BIO *in, *out; // owned by ssl
    bool connected;
};

// Self-signed certificates: only the fingerprint says whose it is, and main.c compares it.
static int accept_any(int verified, X509_STORE_CTX *store) {
    (void)verified, (void)store;
    return 1;
}

static X509 *self_signed(EVP_PKEY *key) {
    X509 *certificate = X509_new();
    if (!certificate) return NULL;
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"jvbd-peer", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    if (X509_sign(certificate, key, EVP_sha256()) == 0) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static bool configure(dtls_client *self, const char *profiles) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    self->context = SSL_CTX_new(DTLS_client_method());
    self->certificate = key ? self_signed(key) : NULL;
    // SSL_CTX_set_tlsext_use_srtp returns 0 when it worked.
    bool done = self->context && self->certificate && SSL_CTX_use_certificate(self->context, self->certificate) == 1
        && SSL_CTX_use_PrivateKey(self->context, key) == 1 && SSL_CTX_set_tlsext_use_srtp(self->context, profiles) == 0;
    EVP_PKEY_free(key);
    if (!done) return false;
    SSL_CTX_set_verify(self->context, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_options(self->context, SSL_OP_NO_QUERY_MTU);
    self->ssl = SSL_new(self->context);
    self->in = BIO_new(BIO_s_mem());
    self->out = BIO_new(BIO_s_mem());
    if (!self->ssl || !self->in || !self->out) return false;
    BIO_set_mem_eof_return(self->in, -1);
    BIO_set_mem_eof_return(self->out, -1);
    SSL_set_bio(self->ssl, self->in, self->out);
    SSL_set_mtu(self->ssl, MTU);
    SSL_set_connect_state(self->ssl);
    return true;
}

dtls_client *dtls_client_new(const char *profiles) {
    dtls_client *self = calloc(1, sizeof *self);
    if (self && !configure(self, profiles)) {
        dtls_client_free(self);
        return NULL;
    }
    return self;
}

void dtls_client_free(dtls_client *self) {
    if (!self) return;
    SSL_free(self->ssl);
    SSL_CTX_free(self->context);
    X509_free(self->certificate);
    free(self);
}

static bool fingerprint(const X509 *certificate, char text[96]) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!certificate || X509_digest(certificate, EVP_sha256(), digest, &length) != 1 || length != 32) return false;
    for (unsigned i = 0; i < length; i++) snprintf(text + 3 * i, 4, "%02X%s", digest[i], i + 1 < length ? ":" : "");
    return true;
}

bool dtls_client_fingerprint(const dtls_client *self, char text[96]) { return fingerprint(self->certificate, text); }

bool dtls_client_server_fingerprint(const dtls_client *self, char text[96]) {
    X509 *certificate = SSL_get1_peer_certificate(self->ssl);
    bool done = fingerprint(certificate, text);
    X509_free(certificate);
    return done;
}

bool dtls_client_receive(dtls_client *self, const uint8_t *bytes, size_t length) {
    if (bytes && BIO_write(self->in, bytes, (int)length) != (int)length) return false;
    if (!bytes) DTLSv1_handle_timeout(self->ssl);
    uint8_t unused[2048];
    int result = self->connected ? SSL_read(self->ssl, unused, sizeof unused) : SSL_do_handshake(self->ssl);
    if (!self->connected && result == 1) self->connected = true;
    int error = SSL_get_error(self->ssl, result);
    return result > 0 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN;
}

size_t dtls_client_take(dtls_client *self, uint8_t *bytes, size_t capacity) {
    // The records of a flight come out joined; together they are the datagram, as RFC 6347 section 4.1.1 allows.
    int length = BIO_read(self->out, bytes, (int)capacity);
    return length > 0 ? (size_t)length : 0;
}

bool dtls_client_is_connected(const dtls_client *self) { return self->connected; }

bool dtls_client_keys(dtls_client *self, dtls_keys *keys) {
    const SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(self->ssl);
    if (!profile) return false;
    size_t key, salt;
    switch (profile->id) {
    case SRTP_AES128_CM_SHA1_80: key = 16, salt = 14; break;
    case SRTP_AEAD_AES_128_GCM: key = 16, salt = 12; break;
    case SRTP_AEAD_AES_256_GCM: key = 32, salt = 12; break;
    default: return false;
    }
    uint8_t material[2 * (32 + 14)];
    static const char label[] = "EXTRACTOR-dtls_srtp";
    if (SSL_export_keying_material(self->ssl, material, 2 * (key + salt), label, sizeof label - 1, NULL, 0, 0) != 1) {
        return false;
    }
    keys->profile = profile->name;
    keys->profile_number = profile->id;
    memcpy(keys->client, material, key);
    memcpy(keys->server, material + key, key);
    memcpy(keys->client + key, material + 2 * key, salt);
    memcpy(keys->server + key, material + 2 * key + salt, salt);
    return true;
}
