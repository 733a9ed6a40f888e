// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL
import RTP

/// Owner of one C association: OpenSSL's SSL object with its datagrams, made safe to use. The rules are `DTLSSession`'s.
@safe
final class DTLSAssociation {
    /// How far a call got.
    enum Progress {
        case done
        /// Needs the next datagram.
        case waiting
        /// The peer sent close_notify.
        case closed
        case failed(DTLSError)

        init(_ native: cossl_progress) {
            switch native {
            case COSSL_PROGRESS_DONE: self = .done
            case COSSL_PROGRESS_WAITING: self = .waiting
            case COSSL_PROGRESS_CLOSED: self = .closed
            default: self = .failed(OpenSSLErrors.takeHandshakeError())
            }
        }
    }

    private let native: OpaquePointer

    init(context: DTLSContext, profiles: String, mtu: Int, firstRetransmission: Interval) throws(DTLSError) {
        OpenSSLErrors.clear()
        let microseconds = UInt32(clamping: firstRetransmission.nanoseconds / 1000)
        guard let native = unsafe cossl_dtls_new(context.native, profiles, mtu, microseconds) else {
            throw OpenSSLErrors.takeConfigurationError("session")
        }
        unsafe self.native = native
    }

    deinit { unsafe cossl_dtls_free(native) }

    func start(role: DTLSRole) { unsafe cossl_dtls_start(native, role == .server ? 1 : 0) }

    /// - Parameter datagram: may be empty.
    func handshake(_ datagram: Span<UInt8>) -> Progress {
        OpenSSLErrors.clear()
        return Progress(
            unsafe datagram.withUnsafeBufferPointer { unsafe cossl_dtls_handshake(native, $0.baseAddress, $0.count) })
    }

    /// Hands over the datagram, which may be empty, and gives the application data of all records to `deliver`.
    /// - Returns: `.waiting`, unless the association has ended.
    func read(_ datagram: Span<UInt8>, deliver: ([UInt8]) -> Void) -> Progress {
        unsafe datagram.withUnsafeBufferPointer { bytes in
            unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: DTLSSession.maximumDatagramLength) {
                buffer in
                var input = unsafe bytes
                while true {
                    var length = 0
                    OpenSSLErrors.clear()
                    let progress = Progress(
                        unsafe cossl_dtls_read(
                            native, input.baseAddress, input.count, buffer.baseAddress, buffer.count, &length))
                    guard case .done = progress else { return progress }
                    unsafe input = UnsafeBufferPointer(start: nil, count: 0)
                    unsafe deliver(Array(buffer[..<length]))
                }
            }
        }
    }

    func write(_ bytes: Span<UInt8>) -> Bool {
        OpenSSLErrors.clear()
        return unsafe bytes.withUnsafeBufferPointer { unsafe cossl_dtls_write(native, $0.baseAddress, $0.count) == 1 }
    }

    func shutDown() {
        OpenSSLErrors.clear()
        unsafe cossl_dtls_shutdown(native)
        OpenSSLErrors.clear()
    }

    /// Nil when no timer runs.
    var timeUntilRetransmission: Interval? {
        let microseconds = unsafe cossl_dtls_timeout(native)
        return microseconds < 0 ? nil : .microseconds(microseconds)
    }

    /// Whether the flight was due and was sent again.
    func retransmit() throws(DTLSError) -> Bool {
        OpenSSLErrors.clear()
        let outcome = unsafe cossl_dtls_handle_timeout(native)
        if outcome < 0 { throw OpenSSLErrors.takeHandshakeError() }
        return outcome > 0
    }

    var outgoingCount: Int { unsafe cossl_dtls_pending_count(native) }
    var outgoingOverflows: UInt64 { unsafe cossl_dtls_overflows(native) }

    func takeDatagram() -> [UInt8]? {
        let length = unsafe cossl_dtls_pending(native)
        guard length > 0 else { return nil }
        return unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            unsafe count = cossl_dtls_take(native, buffer.baseAddress, length)
        }
    }

    // MARK: What the handshake has settled

    var profile: ProtectionProfile? {
        let number = unsafe cossl_dtls_profile(native)
        return UInt16(exactly: number).flatMap(ProtectionProfile.init(rawValue:))
    }

    func exportKeys(label: String, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        OpenSSLErrors.clear()
        let exported = unsafe cossl_dtls_export(native, label, label.utf8.count, &bytes, count)
        return exported == 1 ? bytes : nil
    }

    func peerFingerprint(_ hash: FingerprintHash) -> Fingerprint? {
        var digest = [UInt8](repeating: 0, count: 64)
        let length = unsafe cossl_dtls_peer_digest(native, hash.native, &digest)
        return Fingerprint(hash: hash, bytes: Array(digest.prefix(length)))
    }

    var cipherSuite: String? {
        guard let name = unsafe cossl_dtls_cipher(native) else { return nil }
        return unsafe String(cString: name)
    }

    var hasExtendedMasterSecret: Bool { unsafe cossl_dtls_extended_master_secret(native) == 1 }

    /// Application protocols of the ClientHello (RFC 7301). False: OpenSSL refuses them.
    func offer(applicationProtocols names: [String]) -> Bool {
        let wire = names.flatMap { [UInt8(truncatingIfNeeded: $0.utf8.count)] + Array($0.utf8) }
        return unsafe cossl_dtls_offer_protocols(native, wire, UInt32(clamping: wire.count)) == 1
    }
}
