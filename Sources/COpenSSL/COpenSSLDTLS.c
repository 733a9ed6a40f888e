// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#include "COpenSSLDTLS.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/srtp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Room for the largest flight at the smallest MTU, and for a burst of SCTP.
enum { OUTGOING_LIMIT = 256 };

enum { MAX_SEND_FRAGMENT = 2048 };

static const unsigned int longest_timeout_us = 60 * 1000 * 1000; // RFC 6347 section 4.2.4.1

typedef struct datagram {
    struct datagram *next;
    size_t length;
    uint8_t bytes[];
} datagram;

struct cossl_dtls {
    SSL *ssl;
    const uint8_t *input; // borrowed for one call
    size_t input_length;
    datagram *first, *last;
    size_t count;
    uint64_t overflows;
    long mtu;
    unsigned int first_timeout_us;
};

// MARK: the BIO that keeps datagrams apart

static int transport_read(BIO *bio, char *out, int capacity) {
    cossl_dtls *dtls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (dtls == NULL || dtls->input == NULL || out == NULL || capacity <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    // Like recv(2): what does not fit is lost with its datagram.
    size_t length = dtls->input_length < (size_t)capacity ? dtls->input_length : (size_t)capacity;
    memcpy(out, dtls->input, length);
    dtls->input = NULL;
    dtls->input_length = 0;
    return (int)length;
}

static int transport_write(BIO *bio, const char *bytes, int length) {
    cossl_dtls *dtls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (dtls == NULL || bytes == NULL || length <= 0) return -1;
    datagram *d = dtls->count < OUTGOING_LIMIT ? malloc(sizeof(datagram) + (size_t)length) : NULL;
    if (d == NULL) {
        // As good as lost on the way: the flight's timer brings it again.
        dtls->overflows++;
        return length;
    }
    d->next = NULL;
    d->length = (size_t)length;
    memcpy(d->bytes, bytes, (size_t)length);
    if (dtls->last != NULL) dtls->last->next = d;
    else dtls->first = d;
    dtls->last = d;
    dtls->count++;
    return length;
}

static long transport_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    cossl_dtls *dtls = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return dtls != NULL ? dtls->mtu : 0;
    default: // the MTU is one of UDP payloads, so BIO_CTRL_DGRAM_GET_MTU_OVERHEAD is 0, too
        return 0;
    }
}

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static void method_make(void) {
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
    if (m == NULL) return;
    BIO_meth_set_read(m, transport_read);
    BIO_meth_set_write(m, transport_write);
    BIO_meth_set_ctrl(m, transport_ctrl);
    method = m;
}

// MARK: identity

int cossl_identity_generate(int64_t not_before, int64_t not_after, const char *common_name, uint8_t *certificate,
                            size_t *certificate_length, uint8_t *key, size_t *key_length) {
    int ok = 0;
    uint8_t serial_bytes[16];
    unsigned char *der = NULL, *key_der = NULL;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    BIGNUM *serial = NULL;
    PKCS8_PRIV_KEY_INFO *p8 = NULL;
    X509_NAME *name;

    if (pkey == NULL || x509 == NULL || RAND_bytes(serial_bytes, sizeof serial_bytes) != 1) goto out;
    serial_bytes[0] = (uint8_t)((serial_bytes[0] & 0x7f) | 0x40); // positive, never zero (RFC 5280 section 4.1.2.2)
    serial = BN_bin2bn(serial_bytes, sizeof serial_bytes, NULL);
    if (serial == NULL || BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x509)) == NULL) goto out;
    if (!X509_set_version(x509, X509_VERSION_3)) goto out;
    if (ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)not_before) == NULL) goto out;
    if (ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)not_after) == NULL) goto out;
    name = X509_get_subject_name(x509);
    if (!X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0)) goto out;
    if (!X509_set_issuer_name(x509, name) || !X509_set_pubkey(x509, pkey)) goto out;
    if (X509_sign(x509, pkey, EVP_sha256()) <= 0) goto out;

    int length = i2d_X509(x509, &der);
    if (length <= 0 || (size_t)length > *certificate_length) goto out;
    memcpy(certificate, der, (size_t)length);
    *certificate_length = (size_t)length;

    p8 = EVP_PKEY2PKCS8(pkey);
    length = p8 != NULL ? i2d_PKCS8_PRIV_KEY_INFO(p8, &key_der) : -1;
    if (length <= 0 || (size_t)length > *key_length) goto out;
    memcpy(key, key_der, (size_t)length);
    *key_length = (size_t)length;
    OPENSSL_cleanse(key_der, (size_t)length);
    ok = 1;
out:
    OPENSSL_free(der);
    OPENSSL_free(key_der);
    PKCS8_PRIV_KEY_INFO_free(p8);
    BN_free(serial);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    return ok;
}

static const EVP_MD *hash_function(cossl_hash hash) {
    switch (hash) {
    case COSSL_SHA1: return EVP_sha1();
    case COSSL_SHA256: return EVP_sha256();
    case COSSL_SHA384: return EVP_sha384();
    case COSSL_SHA512: return EVP_sha512();
    }
    return NULL;
}

size_t cossl_digest(cossl_hash hash, const uint8_t *bytes, size_t length, uint8_t *digest) {
    const EVP_MD *md = hash_function(hash);
    unsigned int n = 0;
    return md != NULL && EVP_Digest(bytes, length, digest, &n, md, NULL) == 1 ? n : 0;
}

// MARK: context

// Certificates of WebRTC are self-signed; who the peer is, its fingerprint says, which is compared after the handshake.
static int accept_any_certificate(X509_STORE_CTX *store, void *unused) {
    (void)unused;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int context_configure(SSL_CTX *context, X509 *x509, EVP_PKEY *pkey) {
    static const unsigned char session_context[] = "jvbd";
    SSL_CTX_set_security_level(context, 2);
    if (!SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION)) return 0;
    if (!SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION)) return 0;
    SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // What is sent is bounded by the MTU, so a write buffer for records of 16 kB would be waste.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    if (!SSL_CTX_set_max_send_fragment(context, MAX_SEND_FRAGMENT)) return 0;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (!SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1)) return 0;
    if (!SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                          "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                          "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"))
        return 0;
    // P-384 last: OpenSSL also holds the curve of the peer's certificate against this list.
    if (!SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384")) return 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, accept_any_certificate, NULL);
    return SSL_CTX_use_certificate(context, x509) && SSL_CTX_use_PrivateKey(context, pkey) &&
           SSL_CTX_check_private_key(context);
}

SSL_CTX *cossl_dtls_context_new(const uint8_t *certificate, size_t certificate_length, const uint8_t *key,
                                size_t key_length) {
    if (certificate_length > LONG_MAX || key_length > LONG_MAX) return NULL;
    const unsigned char *c = certificate, *k = key;
    X509 *x509 = d2i_X509(NULL, &c, (long)certificate_length);
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &k, (long)key_length);
    SSL_CTX *context = SSL_CTX_new(DTLS_method());
    if (x509 == NULL || pkey == NULL || context == NULL || !context_configure(context, x509, pkey)) {
        SSL_CTX_free(context);
        context = NULL;
    }
    X509_free(x509);
    EVP_PKEY_free(pkey);
    return context;
}

void cossl_dtls_context_free(SSL_CTX *context) { SSL_CTX_free(context); }

// MARK: association

static unsigned int next_timeout(SSL *ssl, unsigned int last_us) {
    const cossl_dtls *dtls = SSL_get_app_data(ssl);
    if (last_us == 0) return dtls->first_timeout_us;
    return last_us > longest_timeout_us / 2 ? longest_timeout_us : last_us * 2;
}

cossl_dtls *cossl_dtls_new(SSL_CTX *context, const char *profiles, long mtu, unsigned int first_timeout_us) {
    pthread_once(&method_once, method_make);
    if (method == NULL) return NULL;
    cossl_dtls *dtls = calloc(1, sizeof *dtls);
    if (dtls == NULL) return NULL;
    dtls->mtu = mtu;
    dtls->first_timeout_us = first_timeout_us;
    dtls->ssl = SSL_new(context);
    BIO *bio = dtls->ssl != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) {
        cossl_dtls_free(dtls);
        return NULL;
    }
    BIO_set_data(bio, dtls);
    BIO_set_init(bio, 1);
    SSL_set_bio(dtls->ssl, bio, bio);
    // SSL_set_tlsext_use_srtp returns 0 for success.
    if (!SSL_set_app_data(dtls->ssl, dtls) || SSL_set_tlsext_use_srtp(dtls->ssl, profiles) != 0 ||
        SSL_set_mtu(dtls->ssl, mtu) == 0) {
        cossl_dtls_free(dtls);
        return NULL;
    }
    DTLS_set_timer_cb(dtls->ssl, next_timeout);
    return dtls;
}

void cossl_dtls_free(cossl_dtls *dtls) {
    if (dtls == NULL) return;
    SSL_free(dtls->ssl);
    while (dtls->first != NULL) {
        datagram *next = dtls->first->next;
        free(dtls->first);
        dtls->first = next;
    }
    free(dtls);
}

int cossl_dtls_offer_protocols(cossl_dtls *dtls, const uint8_t *protocols, unsigned int length) {
    return SSL_set_alpn_protos(dtls->ssl, protocols, length) == 0; // 0 is success here, too
}

void cossl_dtls_start(cossl_dtls *dtls, int is_server) {
    if (is_server) SSL_set_accept_state(dtls->ssl);
    else SSL_set_connect_state(dtls->ssl);
}

static cossl_progress progress(cossl_dtls *dtls, int result) {
    switch (SSL_get_error(dtls->ssl, result)) {
    case SSL_ERROR_NONE: return COSSL_PROGRESS_DONE;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return COSSL_PROGRESS_WAITING;
    case SSL_ERROR_ZERO_RETURN: return COSSL_PROGRESS_CLOSED;
    default: return COSSL_PROGRESS_FAILED;
    }
}

cossl_progress cossl_dtls_handshake(cossl_dtls *dtls, const uint8_t *datagram, size_t length) {
    dtls->input = length > 0 ? datagram : NULL;
    dtls->input_length = length;
    cossl_progress p = progress(dtls, SSL_do_handshake(dtls->ssl));
    dtls->input = NULL;
    return p;
}

cossl_progress cossl_dtls_read(cossl_dtls *dtls, const uint8_t *datagram, size_t length, uint8_t *out,
                               size_t capacity, size_t *out_length) {
    dtls->input = length > 0 ? datagram : NULL;
    dtls->input_length = length;
    *out_length = 0;
    int result = SSL_read(dtls->ssl, out, capacity > INT_MAX ? INT_MAX : (int)capacity);
    cossl_progress p = progress(dtls, result);
    if (result > 0) *out_length = (size_t)result;
    dtls->input = NULL;
    return p;
}

int cossl_dtls_write(cossl_dtls *dtls, const uint8_t *bytes, size_t length) {
    if (length == 0 || length > INT_MAX) return 0;
    return SSL_write(dtls->ssl, bytes, (int)length) == (int)length;
}

void cossl_dtls_shutdown(cossl_dtls *dtls) { (void)SSL_shutdown(dtls->ssl); }

int64_t cossl_dtls_timeout(cossl_dtls *dtls) {
    struct timeval t = {0};
    if (!DTLSv1_get_timeout(dtls->ssl, &t)) return -1;
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

int cossl_dtls_handle_timeout(cossl_dtls *dtls) { return (int)DTLSv1_handle_timeout(dtls->ssl); }

size_t cossl_dtls_pending(const cossl_dtls *dtls) { return dtls->first != NULL ? dtls->first->length : 0; }
size_t cossl_dtls_pending_count(const cossl_dtls *dtls) { return dtls->count; }
uint64_t cossl_dtls_overflows(const cossl_dtls *dtls) { return dtls->overflows; }

size_t cossl_dtls_take(cossl_dtls *dtls, uint8_t *out, size_t capacity) {
    datagram *d = dtls->first;
    if (d == NULL || d->length > capacity) return 0;
    size_t length = d->length;
    memcpy(out, d->bytes, length);
    dtls->first = d->next;
    if (dtls->first == NULL) dtls->last = NULL;
    dtls->count--;
    free(d);
    return length;
}

unsigned int cossl_dtls_profile(cossl_dtls *dtls) {
    SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(dtls->ssl);
    return profile != NULL ? (unsigned int)profile->id : 0;
}

int cossl_dtls_export(cossl_dtls *dtls, const char *label, size_t label_length, uint8_t *out, size_t length) {
    return SSL_export_keying_material(dtls->ssl, out, length, label, label_length, NULL, 0, 0) == 1;
}

size_t cossl_dtls_peer_digest(cossl_dtls *dtls, cossl_hash hash, uint8_t *digest) {
    const EVP_MD *md = hash_function(hash);
    X509 *x509 = SSL_get0_peer_certificate(dtls->ssl);
    unsigned int n = 0;
    if (md == NULL || x509 == NULL) return 0;
    return X509_digest(x509, md, digest, &n) == 1 ? n : 0;
}

int cossl_dtls_extended_master_secret(cossl_dtls *dtls) { return (int)SSL_get_extms_support(dtls->ssl); }
const char *cossl_dtls_cipher(cossl_dtls *dtls) { return SSL_get_cipher_name(dtls->ssl); }

unsigned long cossl_take_error(char *reason, size_t capacity, int *alert) {
    unsigned long code = ERR_get_error();
    *alert = -1;
    if (capacity > 0) reason[0] = 0;
    if (code != 0) {
        int r = ERR_GET_REASON(code);
        if (ERR_GET_LIB(code) == ERR_LIB_SSL && r > SSL_AD_REASON_OFFSET && r <= SSL_AD_REASON_OFFSET + 255)
            *alert = r - SSL_AD_REASON_OFFSET;
        const char *text = ERR_reason_error_string(code);
        if (text == NULL) ERR_error_string_n(code, reason, capacity);
        else if (capacity > 0) {
            strncpy(reason, text, capacity - 1);
            reason[capacity - 1] = 0;
        }
    }
    ERR_clear_error();
    return code;
}
