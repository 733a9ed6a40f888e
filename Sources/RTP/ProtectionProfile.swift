// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The SRTP protection profiles that DTLS negotiates and SRTP applies, as both sides of that seam name them.

/// DTLS-SRTP protection profile; the raw value is the IANA number (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
public enum ProtectionProfile: UInt16, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case aes128CMHMACSHA1_80 = 0x0001
    case aeadAES128GCM = 0x0007
    case aeadAES256GCM = 0x0008

    /// Length of the master key in bytes.
    public var keyLength: Int { self == .aeadAES256GCM ? 32 : 16 }
    /// Length of the master salt in bytes.
    public var saltLength: Int { self == .aes128CMHMACSHA1_80 ? 14 : 12 }
    /// Bytes that protection adds to an RTP packet.
    public var rtpOverhead: Int { self == .aes128CMHMACSHA1_80 ? 10 : 16 }
    /// Bytes that protection adds to an RTCP packet, the 4 bytes of index included.
    public var rtcpOverhead: Int { rtpOverhead + 4 }
}

/// Master key and salt of one direction (RFC 3711 section 3.2.1). Never printed.
public struct SRTPMasterKey: Sendable, CustomStringConvertible {
    public let key: [UInt8]
    public let salt: [UInt8]

    public init(key: [UInt8], salt: [UInt8]) {
        self.key = key
        self.salt = salt
    }

    public var description: String { "SRTPMasterKey(redacted)" }
}
