// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The STUN attributes that ICE and address discovery meet (IANA "STUN Attributes"; RFC 8489 section 14, RFC 8445
/// section 16.1). Those below 0x8000 must be understood.
enum STUNAttribute: UInt16 {
    case mappedAddress = 0x0001
    case username = 0x0006
    case messageIntegrity = 0x0008
    case errorCode = 0x0009
    case unknownAttributes = 0x000A
    case realm = 0x0014
    case nonce = 0x0015
    /// Understood in the sense that it is skipped: ICE peers that send it also send MESSAGE-INTEGRITY.
    case messageIntegritySHA256 = 0x001C
    case xorMappedAddress = 0x0020
    case priority = 0x0024
    case useCandidate = 0x0025
    case software = 0x8022
    case alternateServer = 0x8023
    case fingerprint = 0x8028
    case iceControlled = 0x8029
    case iceControlling = 0x802A

    /// The only length that the attribute may have, in bytes.
    var fixedLength: Int? {
        switch self {
        case .messageIntegrity: 20
        case .priority, .fingerprint: 4
        case .useCandidate: 0
        case .iceControlled, .iceControlling: 8
        default: nil
        }
    }
}
