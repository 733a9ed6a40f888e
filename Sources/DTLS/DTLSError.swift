// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// What can go wrong with a DTLS association, and the one place where OpenSSL's error queue is read.

/// Why an association could not be made or has ended.
public enum DTLSError: Error, Hashable, Sendable {
    /// OpenSSL refused our own configuration: certificate, key, profiles, MTU.
    case configuration(String)
    /// The handshake broke off on our side; OpenSSL's reason.
    case handshake(String)
    /// The peer sent this fatal alert (RFC 5246 section 7.2).
    case alert(UInt8)
    /// No SRTP protection profile in common, or the peer does not know the extension (RFC 5764 section 4.1.1).
    case noProtectionProfile
    /// The peer's certificate is none of those whose fingerprints were signalled (RFC 8122 section 6.2).
    case fingerprintMismatch
    /// The peer closed the association before it was complete.
    case closedDuringHandshake
    /// The handshake did not end in time.
    case timedOut
}

/// OpenSSL's queue of errors, one per thread. What is left in it spoils the verdict of the next call, so it is emptied
/// before and after each group of calls.
enum OpenSSLErrors {
    /// Empties the queue.
    static func clear() { _ = take() }

    /// Empties the queue and says what happened first.
    static func take() -> (reason: String, alert: UInt8?)? {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 160) { text in
            var alert: Int32 = -1
            let code = unsafe cossl_take_error(text.baseAddress, text.count, &alert)
            guard code != 0, let start = text.baseAddress else { return nil }
            return (unsafe String(cString: start), UInt8(exactly: alert))
        }
    }

    /// The error of a step of the handshake or of reading.
    static func takeHandshakeError() -> DTLSError {
        guard let (reason, alert) = take() else { return .handshake("unknown") }
        if let alert { return .alert(alert) }
        return reason == "read timeout expired" ? .timedOut : .handshake(reason)
    }

    /// The error of a step of configuration.
    static func takeConfigurationError(_ step: String) -> DTLSError {
        .configuration(take().map { "\(step): \($0.reason)" } ?? step)
    }
}
