// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import DTLS
public import ICE

/// Transports in requests and replies: ICE and DTLS (XEP-0176, XEP-0320) and the data channel.

/// What a request says about the transport of an endpoint.
public struct TransportModify: Hashable, Sendable {
    /// The bridge shall be the controlling agent (RFC 8445 section 6.1.1); read on create.
    public var iceControlling: Bool
    /// A UDP port of its own instead of the common one; only relays ask for it.
    public var useUniquePort: Bool
    /// New ICE credentials are wanted.
    public var iceRestart: Bool
    /// Present: a data channel is wanted.
    public var sctp: SCTPDescription?
    /// What the peer described; nil when there is nothing new.
    public var ice: ICETransportDescription?

    public init(
        iceControlling: Bool = false, useUniquePort: Bool = false, iceRestart: Bool = false,
        sctp: SCTPDescription? = nil, ice: ICETransportDescription? = nil
    ) {
        self.iceControlling = iceControlling
        self.useUniquePort = useUniquePort
        self.iceRestart = iceRestart
        self.sctp = sctp
        self.ice = ice
    }

    init(xml element: XMLElement) throws(ColibriError) {
        self.init(
            iceControlling: element.flag("ice-controlling"), useUniquePort: element.flag("use-unique-port"),
            iceRestart: element.flag("ice-restart"))
        if let child = element.first("sctp", XMLNamespace.colibri2) { sctp = try SCTPDescription(xml: child) }
        if let child = element.first("transport", XMLNamespace.iceUDP) {
            ice = ICETransportDescription(xml: child)
        }
    }
}

/// The transport of the bridge in a reply.
public struct TransportModified: Hashable, Sendable {
    public var ice: ICETransportDescription?
    public var sctp: SCTPDescription?

    public init(ice: ICETransportDescription? = nil, sctp: SCTPDescription? = nil) {
        self.ice = ice
        self.sctp = sctp
    }

    func xml() -> XMLElement {
        var element = XMLElement("transport", namespace: XMLNamespace.colibri2)
        if let ice { element.append(ice.xml()) }
        if let sctp { element.append(sctp.xml()) }
        return element
    }

    func json() -> JSONValue {
        var object = JSONObject()
        object["transport"] = ice?.json()
        object["sctp"] = sctp?.json()
        return .object(object)
    }
}

/// The SCTP association below the data channel (RFC 8841).
public struct SCTPDescription: Hashable, Sendable {
    /// Who sends the first packet.
    public enum Role: String, Hashable, Sendable, CaseIterable {
        case client
        case server
    }

    /// In a request what the bridge shall be, in a reply what it is.
    public var role: Role?
    public var port: UInt16?

    /// What every bridge answers: it waits for the peer, on port 5000.
    public static let server = SCTPDescription(role: .server, port: 5000)

    public init(role: Role? = nil, port: UInt16? = nil) {
        self.role = role
        self.port = port
    }

    init(xml element: XMLElement) throws(ColibriError) {
        self.init(port: try element.integer("port"))
        guard let word = element["role"] else { return }
        guard let role = Role(rawValue: word) else { throw .badRequest("Invalid role of <sctp>") }
        self.role = role
    }

    func xml() -> XMLElement {
        XMLElement(
            "sctp", namespace: XMLNamespace.colibri2, ["role": role?.rawValue, "port": port.map { String($0) }])
    }

    func json() -> JSONValue {
        var object = JSONObject()
        object["role"] = role.map { .string($0.rawValue) }
        object["port"] = port.map { .integer(Int64($0)) }
        return .object(object)
    }
}

/// ICE credentials, candidates and certificate fingerprints of one side.
public struct ICETransportDescription: Hashable, Sendable {
    /// A certificate fingerprint and the DTLS role its owner proposes (RFC 8122, RFC 8842).
    public struct SetupFingerprint: Hashable, Sendable {
        public var fingerprint: Fingerprint
        /// Nil in later updates, which leaves the role alone.
        public var setup: DTLSSetup?
        /// Header extensions may be encrypted (RFC 9335).
        public var cryptex: Bool

        public init(fingerprint: Fingerprint, setup: DTLSSetup? = nil, cryptex: Bool = false) {
            self.fingerprint = fingerprint
            self.setup = setup
            self.cryptex = cryptex
        }
    }

    public var ufrag: UsernameFragment?
    public var pwd: ICEPassword?
    /// Which ICE restart this belongs to, 1 for the first; nil for the original session.
    public var generation: Int?
    public var rtcpMux: Bool
    /// Those with a hash function we know.
    public var fingerprints: [SetupFingerprint]
    /// URLs where the peer may open the bridge channel.
    public var webSockets: [String]
    /// Those with a literal address; names (mDNS) would have to be resolved and are left out.
    public var candidates: [Candidate]

    public init(
        ufrag: UsernameFragment? = nil, pwd: ICEPassword? = nil, generation: Int? = nil, rtcpMux: Bool = true,
        fingerprints: [SetupFingerprint] = [], webSockets: [String] = [], candidates: [Candidate] = []
    ) {
        self.ufrag = ufrag
        self.pwd = pwd
        self.generation = generation
        self.rtcpMux = rtcpMux
        self.fingerprints = fingerprints
        self.webSockets = webSockets
        self.candidates = candidates
    }

    /// Nothing in here is an error: the participant made it, and refusing the request would make jicofo interrupt the
    /// whole meeting. Without usable credentials or fingerprint nobody but that participant stays unconnected.
    init(xml element: XMLElement) {
        self.init(
            ufrag: element["ufrag"].flatMap(UsernameFragment.init(rawValue:)),
            pwd: element["pwd"].flatMap(ICEPassword.init(rawValue:)),
            generation: element["ice-generation"].flatMap { UInt16($0) }.map { Int($0) },
            rtcpMux: element.first("rtcp-mux", XMLNamespace.iceUDP) != nil)

        let fingerprints = element.all("fingerprint", XMLNamespace.dtls).prefix(ColibriLimits.fingerprints)
        self.fingerprints = fingerprints.compactMap { child in
            Fingerprint(hash: child["hash"] ?? "", value: child.text.filter { !$0.isWhitespace }).map {
                SetupFingerprint(
                    fingerprint: $0, setup: child["setup"].flatMap { DTLSSetup(rawValue: $0.lowercased()) },
                    cryptex: child.flag("cryptex"))
            }
        }
        webSockets = element.all("web-socket", XMLNamespace.colibri1).prefix(ColibriLimits.webSockets)
            .compactMap { $0["url"] }.filter { $0.utf8.count <= ColibriLimits.text }
        candidates = element.all("candidate", XMLNamespace.iceUDP).prefix(ColibriLimits.candidates)
            .compactMap { Candidate(xml: $0) }
    }

    /// Children in the order of JVB, which some readers of captures rely on.
    func xml() -> XMLElement {
        var element = XMLElement(
            "transport", namespace: XMLNamespace.iceUDP,
            ["ufrag": ufrag?.rawValue, "pwd": pwd?.rawValue, "ice-generation": generation.map { String($0) }])
        if rtcpMux { element.append(XMLElement("rtcp-mux", namespace: XMLNamespace.iceUDP)) }
        for item in fingerprints {
            element.append(
                XMLElement(
                    "fingerprint", namespace: XMLNamespace.dtls,
                    [
                        "hash": item.fingerprint.hash.name, "setup": item.setup?.rawValue,
                        "cryptex": item.cryptex ? "true" : nil,
                    ], text: item.fingerprint.description))
        }
        for url in webSockets {
            element.append(XMLElement("web-socket", namespace: XMLNamespace.colibri1, ["url": url]))
        }
        for candidate in candidates { element.append(candidate.xml()) }
        return element
    }

    func json() -> JSONValue {
        var object = JSONObject([.init(key: "xmlns", value: .string(XMLNamespace.iceUDP))])
        object["ufrag"] = ufrag.map { .string($0.rawValue) }
        object["pwd"] = pwd.map { .string($0.rawValue) }
        object["ice-generation"] = generation.map { .integer(Int64($0)) }
        object["rtcp-mux"] = rtcpMux ? true : nil
        let fingerprints = fingerprints.map { item in
            var member = JSONObject([
                .init(key: "fingerprint", value: .string(item.fingerprint.description)),
                .init(key: "hash", value: .string(item.fingerprint.hash.name)),
            ])
            member["setup"] = item.setup.map { .string($0.rawValue) }
            member["cryptex"] = item.cryptex ? true : nil
            return JSONValue.object(member)
        }
        object["fingerprints"] = fingerprints.isEmpty ? nil : .array(fingerprints)
        object["web-sockets"] = webSockets.isEmpty ? nil : .array(webSockets.map { .string($0) })
        object["candidates"] = candidates.isEmpty ? nil : .array(candidates.map { $0.json() })
        return .object(object)
    }
}
