// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Who begins the handshake, as DTLS and as signalling name it.

/// Side of a DTLS handshake: the client begins.
public enum DTLSRole: Hashable, Sendable {
    case client
    case server

    public var opposite: DTLSRole { self == .client ? .server : .client }
}

/// The `setup` attribute beside a fingerprint (RFC 4145 section 4, RFC 8842 section 5.2).
public enum DTLSSetup: String, Hashable, Sendable {
    case active
    case passive
    case actpass

    /// Our role when the peer said this; nil when it left the choice to us.
    public var localRole: DTLSRole? {
        switch self {
        case .active: .server
        case .passive: .client
        case .actpass: nil
        }
    }

    /// What we say: `actpass` until our role is known.
    public init(localRole: DTLSRole?) {
        switch localRole {
        case .client: self = .active
        case .server: self = .passive
        case nil: self = .actpass
        }
    }
}
