// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// Asks a STUN server for our public address (RFC 8489 section 2, Binding without credentials), to find the bridge's
/// server-reflexive candidates. One query is one request to one server: sent at 0, 200, 600 and 1400 ms, given up after 2 s.
public struct MappedAddressQuery: Sendable {
    /// How the query stands or ended.
    public enum Outcome: Hashable, Sendable {
        case pending
        /// The address and port that the server saw.
        case mapped(TransportAddress)
        /// The server answered with an error or without an address.
        case refused
        case timedOut
    }

    /// No query lasts longer.
    public static var ceiling: Interval { .seconds(2) }

    /// Changes once, from `.pending`.
    public private(set) var outcome: Outcome = .pending
    private let transactionID: STUNTransactionID
    private let endsAt: Instant
    private var dueAt: Instant
    private var timeout: Interval = .milliseconds(200)

    /// The first request is due at `now`.
    public init(now: Instant, using generator: inout some RandomNumberGenerator) {
        transactionID = STUNTransactionID(
            tag: UInt32(truncatingIfNeeded: generator.next()), nonce: generator.next())
        dueAt = now
        endsAt = now + Self.ceiling
    }

    /// When `advance` must be called next; nil when the query is over.
    public var deadline: Instant? { outcome == .pending ? min(dueAt, endsAt) : nil }

    /// The datagram to be sent to the server now, if any.
    public mutating func advance(now: Instant) -> [UInt8]? {
        guard outcome == .pending else { return nil }
        if now >= endsAt {
            outcome = .timedOut
            return nil
        }
        guard now >= dueAt else { return nil }
        dueAt = now + timeout
        timeout = timeout * 2
        var writer = STUNWriter(.request, transactionID: transactionID)
        writer.appendFingerprint()
        return writer.bytes
    }

    /// Takes a datagram from the server. Anything that is not the response to this query is ignored.
    public mutating func receive(_ datagram: Span<UInt8>) {
        guard outcome == .pending, let message = try? STUNMessage(parsing: datagram),
            message.method == STUNMessage.binding, message.transactionID == transactionID
        else { return }
        switch message.messageClass {
        case .success:
            let address = message.xorMappedAddress ?? message.mappedAddress
            outcome = address.map(Outcome.mapped) ?? .refused
        case .error:
            outcome = .refused
        case .request, .indication:
            break
        }
    }
}
