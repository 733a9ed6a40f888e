// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// What the handshake leaves for SRTP: a protection profile and a master key for each direction (RFC 5764 section 4.2).
public struct DTLSSRTPKeys: Sendable {
    public let profile: ProtectionProfile
    /// We seal with this one.
    public let local: SRTPMasterKey
    /// We open with this one.
    public let remote: SRTPMasterKey

    public init(profile: ProtectionProfile, local: SRTPMasterKey, remote: SRTPMasterKey) {
        self.profile = profile
        self.local = local
        self.remote = remote
    }

    static let exporterLabel = "EXTRACTOR-dtls_srtp"

    static func exportedLength(_ profile: ProtectionProfile) -> Int { 2 * (profile.keyLength + profile.saltLength) }

    /// Splits the exported bytes: client key, server key, client salt, server salt. Nil if their number is wrong.
    init?(profile: ProtectionProfile, exported: [UInt8], role: DTLSRole) {
        guard exported.count == Self.exportedLength(profile) else { return nil }
        let key = profile.keyLength, salt = profile.saltLength
        let client = SRTPMasterKey(
            key: Array(exported[..<key]), salt: Array(exported[(2 * key)..<(2 * key + salt)]))
        let server = SRTPMasterKey(
            key: Array(exported[key..<(2 * key)]), salt: Array(exported[(2 * key + salt)...]))
        self.init(
            profile: profile, local: role == .client ? client : server, remote: role == .client ? server : client)
    }
}
