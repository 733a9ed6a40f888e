// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// What the DTLS associations of one thread have in common: identity, cipher suites, groups, and no sessions to resume.

/// OpenSSL's form of a `DTLSIdentity`. Belongs to the thread that made it; many sessions of that thread share it, which
/// spares each of them the parsing of keys and some tens of kilobytes.
@safe
public final class DTLSContext {
    let native: OpaquePointer

    /// - Throws: `.configuration`
    public init(identity: DTLSIdentity) throws(DTLSError) {
        OpenSSLErrors.clear()
        let native = unsafe cossl_dtls_context_new(
            identity.certificate, identity.certificate.count, identity.privateKey, identity.privateKey.count)
        guard let native = unsafe native else { throw OpenSSLErrors.takeConfigurationError("context") }
        unsafe self.native = native
    }

    deinit { unsafe cossl_dtls_context_free(native) }
}
