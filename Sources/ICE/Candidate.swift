// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// ICE candidates (RFC 8445 section 5.1; attributes of XEP-0176 as Jitsi signals them).

/// How a candidate's address came to be known.
public enum CandidateKind: String, Hashable, Sendable, CaseIterable {
    case host
    case serverReflexive = "srflx"
    case peerReflexive = "prflx"
    case relayed = "relay"

    /// RFC 8445 section 5.1.2.2, with ice4j's value for server reflexive (100).
    public var typePreference: UInt8 {
        switch self {
        case .host: 126
        case .peerReflexive: 110
        case .serverReflexive: 100
        case .relayed: 0
        }
    }
}

/// What a candidate's address speaks. The bridge itself has UDP only.
public enum CandidateTransport: String, Hashable, Sendable {
    case udp, tcp, ssltcp
}

/// Why a candidate could not be read.
public enum CandidateError: Error, Hashable, Sendable {
    /// The address is a host name (mDNS ".local" or other); such candidates are to be ignored, not refused.
    case notLiteral
    /// The named attribute has no acceptable value.
    case malformed(StaticString)

    public static func == (a: Self, b: Self) -> Bool { a.name == b.name }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
    private var name: String {
        switch self {
        case .notLiteral: ""
        case .malformed(let attribute): "\(attribute)"
        }
    }
}

/// One candidate of either side.
public struct Candidate: Hashable, Sendable {
    /// Equal for candidates of the same kind, base and server (RFC 8445 section 5.1.1.3); 1...32 characters.
    public var foundation: String
    /// 1...256; the bridge uses 1 only (rtcp-mux).
    public var component: UInt16
    /// The transport protocol; only UDP is ever checked.
    public var transport: CandidateTransport
    /// RFC 8445 section 5.1.2; higher is better.
    public var priority: UInt32
    /// Where the other side sends to.
    public var address: TransportAddress
    /// How the address came to be known.
    public var kind: CandidateKind
    /// Base of a reflexive, or mapped address of a relayed candidate.
    public var related: TransportAddress?
    /// The ICE generation that the candidate belongs to.
    public var generation: UInt32
    /// Unique among the candidates of a description (XEP-0176).
    public var id: String
    /// Index of the network interface (XEP-0176); Jitsi always says 0.
    public var network: UInt32
    /// "active", "passive" or "so" for TCP (RFC 6544).
    public var tcpType: String?

    /// A candidate of component 1 and generation 0, unless told otherwise.
    public init(
        foundation: String, component: UInt16 = 1, transport: CandidateTransport = .udp, priority: UInt32,
        address: TransportAddress, kind: CandidateKind, related: TransportAddress? = nil, generation: UInt32 = 0,
        id: String, network: UInt32 = 0, tcpType: String? = nil
    ) {
        self.foundation = foundation
        self.component = component
        self.transport = transport
        self.priority = priority
        self.address = address
        self.kind = kind
        self.related = related
        self.generation = generation
        self.id = id
        self.network = network
        self.tcpType = tcpType
    }

    /// Reads a candidate from the attributes of a signalled one; `value` returns the text of "foundation", "component",
    /// "protocol", "priority", "ip", "port", "type", "rel-addr", "rel-port", "generation", "id", "network" and "tcptype", or nil.
    ///
    /// - Throws: `.notLiteral` for names in place of an address, `.malformed` for a missing or bad required attribute.
    public init(attributes value: (String) -> String?) throws(CandidateError) {
        guard let foundation = value("foundation"), (1...32).contains(foundation.utf8.count) else {
            throw .malformed("foundation")
        }
        guard let component = value("component").flatMap({ UInt16($0) }), (1...256).contains(component) else {
            throw .malformed("component")
        }
        guard let transport = value("protocol").flatMap({ CandidateTransport(rawValue: $0.lowercased()) }) else {
            throw .malformed("protocol")
        }
        guard let priority = value("priority").flatMap({ UInt32($0) }) else { throw .malformed("priority") }
        guard let kind = value("type").flatMap(CandidateKind.init(rawValue:)) else { throw .malformed("type") }
        guard let port = value("port").flatMap({ UInt16($0) }) else { throw .malformed("port") }
        guard let host = value("ip"), (1...255).contains(host.utf8.count) else { throw .malformed("ip") }
        guard let ip = IPAddress(host) else { throw .notLiteral }
        var related: TransportAddress?
        if let address = value("rel-addr").flatMap({ IPAddress($0) }),
            let port = value("rel-port").flatMap({ UInt16($0) })
        {
            related = TransportAddress(ip: address, port: port)
        }
        self.init(
            foundation: foundation, component: component, transport: transport, priority: priority,
            address: TransportAddress(ip: ip, port: port), kind: kind, related: related,
            generation: value("generation").flatMap { UInt32($0) } ?? 0,
            id: value("id").map { String($0.prefix(64)) } ?? "",
            network: value("network").flatMap { UInt32($0) } ?? 0,
            tcpType: value("tcptype").map { String($0.prefix(16)) })
    }

    /// RFC 8445 section 5.1.2.1: 2^24 * type preference + 2^8 * local preference + (256 - component).
    public static func priority(_ kind: CandidateKind, localPreference: UInt16, component: UInt16 = 1) -> UInt32 {
        UInt32(kind.typePreference) << 24 | UInt32(localPreference) << 8 | UInt32(256 - min(max(component, 1), 256))
    }

    /// Jitsi's local preference of a host address: 65535 for the only one, else by family (global IPv6 40, link-local IPv6
    /// 30, IPv4 10).
    public static func localPreference(of address: IPAddress, isOnly: Bool) -> UInt16 {
        if isOnly { return 65535 }
        switch address {
        case .v4: return 10
        case .v6: return address.isLinkLocal ? 30 : 40
        }
    }
}
