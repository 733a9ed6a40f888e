// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The RTX payload format: a packet sent again on a stream of its own (RFC 4588 section 4).

/// An RTX payload is the original sequence number followed by the original payload.
public enum Retransmission {
    /// Bytes that the format adds in front of the payload.
    public static let headerLength = 2

    /// The original sequence number.
    ///
    /// - Returns: nil for a payload of fewer than two bytes, which is padding sent to probe for bandwidth.
    public static func originalSequenceNumber(of payload: Span<UInt8>) -> SequenceNumber? {
        guard payload.count >= headerLength else { return nil }
        return SequenceNumber(rawValue: payload.bigEndian16(at: 0))
    }

    /// Writes the original sequence number.
    ///
    /// - Parameter payload: at least `headerLength` bytes; the original payload follows them.
    public static func write(original: SequenceNumber, to payload: UnsafeMutableRawPointer) {
        unsafe payload.storeBigEndian(original.rawValue, at: 0)
    }
}
