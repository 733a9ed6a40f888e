// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which bytes of a datagram are worth showing to OpenSSL. It breaks off at a record of unknown type and at plaintext
/// application data, where RFC 6347 section 4.1.2.7 wants invalid records discarded.
enum DTLSRecord {
    static let headerLength = 13

    private static let contentTypes: ClosedRange<UInt8> = 20...23
    private static let applicationDataType: UInt8 = 23

    //  0      1         3       5                  11       13
    // +------+---------+-------+------------------+--------+---------
    // | type | version | epoch | sequence number  | length | fragment
    // +------+---------+-------+------------------+--------+---------

    /// Length of the whole, plausible records with which the datagram begins.
    static func plausiblePrefix(of datagram: Span<UInt8>) -> Int {
        var end = 0
        while datagram.count - end >= headerLength {
            let type = datagram[end], major = datagram[end + 1], minor = datagram[end + 2]
            let isPlaintext = datagram[end + 3] == 0 && datagram[end + 4] == 0
            let length = Int(datagram[end + 11]) << 8 | Int(datagram[end + 12])
            // A ClientHello may say DTLS 1.0 in its record's header, whatever it offers (RFC 9147 section 5.3).
            guard contentTypes.contains(type), major == 0xFE, minor == 0xFD || minor == 0xFF,
                !(isPlaintext && type == applicationDataType), length <= datagram.count - end - headerLength
            else { break }
            end += headerLength + length
        }
        return end
    }
}
