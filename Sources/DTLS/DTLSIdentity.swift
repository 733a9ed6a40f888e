// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// Our certificate: self-signed ECDSA P-256, named to the peer by its fingerprint (RFC 8827 section 6.5).

/// A certificate and its private key, as bytes, so that every thread may hold it.
public final class DTLSIdentity: Sendable, CustomStringConvertible {
    /// SHA-256 of the certificate.
    public let fingerprint: Fingerprint
    /// Begin and end of validity, seconds since 1970.
    public let validity: ClosedRange<Int64>
    let certificate: [UInt8]
    let privateKey: [UInt8]

    private init(fingerprint: Fingerprint, validity: ClosedRange<Int64>, certificate: [UInt8], privateKey: [UInt8]) {
        self.fingerprint = fingerprint
        self.validity = validity
        self.certificate = certificate
        self.privateKey = privateKey
    }

    /// Makes a new key pair; the key comes from OpenSSL's own generator.
    /// - Parameter now: seconds since 1970. The certificate is valid from a day before, as clocks differ, until a week
    ///   after.
    /// - Throws: `.configuration`
    public static func generate(now: Int64) throws(DTLSError) -> DTLSIdentity {
        let day: Int64 = 86_400
        // ASN.1 times end with the year 9999.
        guard (day...253_000_000_000).contains(now) else { throw .configuration("time out of range") }
        let validity = now - day...now + 7 * day
        var certificate = [UInt8](repeating: 0, count: 1024)
        var privateKey = [UInt8](repeating: 0, count: 512)
        var certificateLength = certificate.count
        var privateKeyLength = privateKey.count
        OpenSSLErrors.clear()
        let made = unsafe cossl_identity_generate(
            validity.lowerBound, validity.upperBound, "jvbd", &certificate, &certificateLength, &privateKey,
            &privateKeyLength)
        guard made == 1 else { throw OpenSSLErrors.takeConfigurationError("certificate") }
        certificate.removeLast(certificate.count - certificateLength)
        privateKey.removeLast(privateKey.count - privateKeyLength)

        guard let fingerprint = Fingerprint(of: certificate, hash: .sha256) else {
            throw OpenSSLErrors.takeConfigurationError("fingerprint")
        }
        return DTLSIdentity(
            fingerprint: fingerprint, validity: validity, certificate: certificate, privateKey: privateKey)
    }

    public var description: String { "DTLSIdentity(\(fingerprint))" }
}
